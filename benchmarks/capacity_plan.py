"""What so many orders a second need, and which limit breaks first: arithmetic on measured figures of one order.

Nothing here is measured. A figure of an order comes from `measured.json`, a limit of somebody else from the page that
is named with it, and what is neither is called an assumption.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DAY = 86_400
MONTH = 30 * DAY
BUSY = 0.7  # assumption: the share of a core that is used on a usual day, so that a busy minute still fits
POOL = 20  # connections of one of our processes (ORDERSAGA_DATABASE_POOL_SIZE)
TEMPORAL_CONNECTIONS = 120  # of a server on the same PostgreSQL (docs/deployment.md)
CONNECTIONS = 300  # max_connections of docker-compose.yml
RETENTION_DAYS = 30  # of histories that are over (docker-compose.yml)
SHARD_WRITE = 0.005  # assumption: seconds for which one write of a workflow's state holds its shard
SHARD_BUSY = 0.1  # assumption: the share of the time that a shard may be held, so that writes hardly wait for it
LEAST_SHARDS, MOST_SHARDS = 512, 16_384
DATABASE_CORES = 64  # assumption: of the largest single server that one would run
WAL_RATE = 200e6  # assumption: bytes a second that a volume writes lastingly

STRIPE_RATE, STRIPE_ENDPOINT_RATE = 100, 25
STRIPE_PAGE = "docs.stripe.com/rate-limits, live mode"
CLOUD_ACTIONS = 500
CLOUD_PAGE = "docs.temporal.io/cloud/limits, per namespace"
ACTIONS_PAGE = "docs.temporal.io/evaluate/cloud/actions"
CARRIER_PAGE = "docs.easypost.com/guides/rate-limiting-guide"


@dataclass(frozen=True)
class PerOrder:
    """Measured: one order from the checkout to its delivery."""

    cpu_ms: Mapping[str, float]  # by process, without what it takes at rest
    transactions: float
    wal_bytes: float
    table_bytes: float
    history_bytes: float
    history_events: float
    state_transitions: float
    actions: float
    webhooks: float
    stripe_calls: Mapping[str, float]  # by operation
    carrier_calls: Mapping[str, float]

    @property
    def stripe(self) -> float:
        return sum(self.stripe_calls.values())

    @property
    def busiest_endpoint(self) -> tuple[str, float]:
        return max(self.stripe_calls.items(), key=lambda item: item[1])


@dataclass(frozen=True)
class Need:
    """One line of the page."""

    what: str
    amount: str
    because: str


@dataclass(frozen=True)
class Limit:
    """`breaks_at` is in orders per second."""

    what: str
    breaks_at: float
    because: str
    then: str


def processes(order: PerOrder, process: str, rate: float) -> int:
    """How many of a Python process, each of which uses one core."""
    return max(1, math.ceil(round(rate * cores(order, process) / BUSY, 6)))  # ten tenths are one, not two


def cores(order: PerOrder, process: str) -> float:
    """Core-seconds of one order."""
    return order.cpu_ms[process] / 1000


def connections(order: PerOrder, rate: float) -> int:
    """Of all our processes and of Temporal."""
    return TEMPORAL_CONNECTIONS + POOL * sum(processes(order, name, rate) for name in ("API", "worker", "relay"))


def shards(order: PerOrder, rate: float) -> int:
    """A power of two, as many as keep the writes of different workflows from waiting for each other."""
    wanted = rate * order.state_transitions * SHARD_WRITE / SHARD_BUSY
    return max(LEAST_SHARDS, 1 << math.ceil(math.log2(max(1.0, wanted))))


def needs(order: PerOrder, rate: float) -> list[Need]:
    """In the order of an order's way: our processes, the engine, the database, the far ends."""
    outside = {
        "calls to Stripe": order.stripe,
        "calls to the carrier": sum(order.carrier_calls.values()),
        "webhooks": order.webhooks,
    }
    return [
        *_processes_needed(order, rate),
        *_engine_needed(order, rate),
        *_storage_needed(order, rate),
        *(Need(what, f"{rate * each:,.0f}/s", f"{each:.1f} an order") for what, each in outside.items()),
    ]


def _processes_needed(order: PerOrder, rate: float) -> list[Need]:
    found = []
    for name in ("API", "worker", "relay"):
        because = f"{order.cpu_ms[name]:.0f} ms of CPU an order, one core each, {BUSY:.0%} busy"
        found.append(Need(f"{name} processes", f"{processes(order, name, rate):,}", because))
    return found


def _engine_needed(order: PerOrder, rate: float) -> list[Need]:
    def cores_of(name: str) -> str:
        return f"{rate * cores(order, name) / BUSY:,.1f}"

    changes = rate * order.state_transitions
    return [
        Need(
            "Temporal, cores",
            cores_of("Temporal"),
            f"{order.cpu_ms['Temporal']:.0f} ms an order, on the development server with SQLite",
        ),
        Need("Temporal, state transitions", f"{changes:,.0f}/s", f"{order.state_transitions:.0f} an order"),
        Need(
            "Temporal, history shards",
            f"{shards(order, rate):,}",
            f"assumed: a write holds its shard for {1000 * SHARD_WRITE:.0f} ms, {SHARD_BUSY:.0%} of the time",
        ),
        Need(
            "Temporal Cloud, actions",
            f"{rate * order.actions:,.0f}/s, {rate * order.actions * MONTH / 1e6:,.0f} million a month",
            f"{order.actions:.0f} an order, counted in its history by {ACTIONS_PAGE}",
        ),
        Need(
            "histories, kept",
            size(rate * order.history_bytes * DAY * RETENTION_DAYS),
            f"{size(order.history_bytes)} an order, {RETENTION_DAYS} days",
        ),
    ]


def _storage_needed(order: PerOrder, rate: float) -> list[Need]:
    return [
        Need(
            "PostgreSQL, cores",
            f"{rate * cores(order, 'PostgreSQL') / BUSY:,.1f}",
            f"{order.cpu_ms['PostgreSQL']:.0f} ms an order, Temporal's own database apart",
        ),
        Need(
            "PostgreSQL, transactions",
            f"{rate * order.transactions:,.0f}/s",
            f"{order.transactions:.1f} an order, single reads included",
        ),
        Need(
            "PostgreSQL, WAL",
            f"{size(rate * order.wal_bytes)}/s, {size(rate * order.wal_bytes * DAY)} a day",
            f"{size(order.wal_bytes)} an order, without the full pages after a checkpoint",
        ),
        Need(
            "PostgreSQL, growth",
            f"{size(rate * order.table_bytes * DAY)} a day",
            f"{size(order.table_bytes)} an order, tables and indexes",
        ),
        Need(
            "PostgreSQL, connections",
            f"{connections(order, rate):,}",
            f"{POOL} a process, {TEMPORAL_CONNECTIONS} for Temporal",
        ),
    ]


def limits(order: PerOrder) -> list[Limit]:
    """What breaks, the first one first."""
    found = [*_limits_of_far_ends(order), *_limits_of_engine(order), *_limits_of_database(order)]
    return sorted(found, key=lambda limit: limit.breaks_at)


def _limits_of_far_ends(order: PerOrder) -> list[Limit]:
    name, calls = order.busiest_endpoint
    return [
        Limit(
            f"Stripe, {name}",
            STRIPE_ENDPOINT_RATE / calls,
            f"{STRIPE_ENDPOINT_RATE} requests/s an endpoint ({STRIPE_PAGE}), {calls:.1f} an order",
            "ask Stripe for more, six weeks ahead; until then 429s are retried, and checkouts answer 202",
        ),
        Limit(
            "Stripe, all calls",
            STRIPE_RATE / order.stripe,
            f"{STRIPE_RATE} requests/s ({STRIPE_PAGE}), {order.stripe:.1f} an order",
            "likewise",
        ),
    ]


def _limits_of_engine(order: PerOrder) -> list[Limit]:
    return [
        Limit(
            "Temporal Cloud, actions",
            CLOUD_ACTIONS / order.actions,
            f"{CLOUD_ACTIONS}/s ({CLOUD_PAGE}), {order.actions:.0f} an order",
            "it grows by itself with a week's use, or provision capacity; self-hosted: more history hosts",
        ),
        Limit(
            "Temporal, history shards",
            MOST_SHARDS * SHARD_BUSY / (SHARD_WRITE * order.state_transitions),
            f"{MOST_SHARDS:,} shards, assumed to be held {SHARD_BUSY:.0%} of the time",
            "several clusters, orders spread over them by their id",
        ),
    ]


def _limits_of_database(order: PerOrder) -> list[Limit]:
    spare = (CONNECTIONS - TEMPORAL_CONNECTIONS) / POOL
    cpu = sum(cores(order, name) for name in ("API", "worker", "relay")) / BUSY
    return [
        Limit(
            "PostgreSQL, connections",
            spare / cpu,
            f"{CONNECTIONS} (docker-compose.yml), {spare:.0f} of our processes beside Temporal",
            "a database of its own for Temporal, smaller pools, PgBouncer for API and worker (not for the relay)",
        ),
        Limit(
            "PostgreSQL, cores",
            DATABASE_CORES * BUSY / cores(order, "PostgreSQL"),
            f"assumed: {DATABASE_CORES} cores, {BUSY:.0%} busy",
            "reads to replicas, then several databases, orders and stock spread over them",
        ),
        Limit(
            "PostgreSQL, WAL",
            WAL_RATE / order.wal_bytes,
            f"assumed: a volume that writes {size(WAL_RATE)}/s lastingly",
            "a faster volume, WAL on one of its own",
        ),
    ]


def size(amount: float) -> str:
    """Bytes in decimal units, as disks are sold."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    step = min(len(units) - 1, max(0, int(math.log10(amount) // 3))) if amount >= 1 else 0
    return f"{amount / 1000**step:,.{0 if step == 0 else 1}f} {units[step]}"


def first_to_break(order: PerOrder, rate: float) -> Sequence[Limit]:
    """The limits that this rate is beyond, the first one first."""
    return [limit for limit in limits(order) if limit.breaks_at < rate]
