"""What one order takes of everything, from the checkout to its delivery: measured on a stack of its own."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from adapters.temporal.client import workflow_id
from benchmarks.capacity_plan import PerOrder
from benchmarks.far_ends import FarEnd
from benchmarks.load import drive
from benchmarks.processes import CpuMeter, CpuReading
from benchmarks.service import open_service
from devstack.stack.process import Observer
from devstack.stack.stack import Stack

AT_ONCE = 8  # keeps two cores busy, and puts no checkout off
WARM_UP = 24  # orders
REST = 4.0  # seconds in which the parts are watched doing nothing
STATISTICS = 1.5  # seconds until PostgreSQL has added up what its sessions did
SAMPLE = 10  # workflows whose histories are read
PARTS = {"API": "api", "worker": "worker", "relay": "relay", "Temporal": "temporal", "PostgreSQL": "postgres"}

_BOOKS = """
    SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS transactions,
           pg_current_wal_lsn() - '0/0'::pg_lsn AS wal_bytes,
           (SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'
                AND relnamespace = 'public'::regnamespace) AS table_bytes,
           (SELECT count(*) FROM webhook_inbox) AS webhooks
"""

ONE_ACTION = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
}
LOCAL_ACTIVITY = "core_local_activity"  # the marker of the SDK


def billable_actions(events: Iterable[HistoryEvent]) -> int:
    """As docs.temporal.io/evaluate/cloud/actions counts them.

    Each attempt of an activity is one; the local activities of one workflow task are one together. Heartbeats are in
    no history: steps this short send none that reaches the server.
    """
    counted, tasks_with_local = 0, set()
    for event in events:
        if event.event_type in ONE_ACTION:
            counted += 1
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            counted += event.activity_task_started_event_attributes.attempt
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == LOCAL_ACTIVITY:
                tasks_with_local.add(marker.workflow_task_completed_event_id)
    return counted + len(tasks_with_local)


@dataclass(frozen=True)
class Books:
    """What was counted until a moment."""

    at: float  # of a clock that only goes forward
    cpu: CpuReading
    database: Mapping[str, float]

    def since(self, before: Books) -> dict[str, float]:
        """CPU in seconds by process, and the database's counters."""
        cpu = self.cpu.since(before.cpu).groups
        counted = {name: self.database[name] - before.database[name] for name in self.database}
        return {name: cpu[name] for name in PARTS} | counted


class Measuring:
    """On a running stack, whose parcels move."""

    def __init__(self, stack: Stack, database: asyncpg.Connection, client: Client) -> None:
        self._meter = CpuMeter({name: [stack.pids[part]] for name, part in PARTS.items()})
        self._database, self._client = database, client

    async def read(self) -> Books:
        """When PostgreSQL's statistics are complete."""
        await asyncio.sleep(STATISTICS)
        row = await self._database.fetchrow(_BOOKS)
        return Books(time.monotonic(), self._meter.read(), {name: float(value) for name, value in row.items()})

    async def at_rest(self) -> dict[str, float]:
        """The same per second, with nothing to do."""
        before = await self.read()
        await asyncio.sleep(REST)
        after = await self.read()
        return {name: value / (after.at - before.at) for name, value in after.since(before).items()}

    async def histories(self, keys: Iterable[str]) -> dict[str, float]:
        """Means over these orders' workflows."""
        found: list[dict[str, float]] = []
        for key in keys:
            handle = self._client.get_workflow_handle(workflow_id(key))
            facts = (await handle.describe()).raw_description.workflow_execution_info
            events = (await handle.fetch_history()).events
            found.append(
                {
                    "history_bytes": facts.history_size_bytes,
                    "history_events": facts.history_length,
                    "state_transitions": facts.state_transition_count,
                    "actions": billable_actions(events),
                }
            )
        return {name: statistics.fmean(one[name] for one in found) for name in found[0]}


async def measure(orders: int, observe: Observer) -> PerOrder:
    """Places so many orders and follows them until they are delivered. About a minute for 150."""
    async with AsyncExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="ordersaga-capacity-"))
        stack = await running.enter_async_context(Stack(Path(folder), environ=os.environ, observe=observe))
        http = await running.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
        url = stack.environment["DATABASE_URL"]
        database = await asyncpg.connect(url)
        running.push_async_callback(database.close)
        service = await running.enter_async_context(open_service(stack.urls.api, url, AT_ONCE, stack.folder))
        measuring = Measuring(stack, database, await stack.plan.connect())
        far_ends = FarEnd(http, stack.urls.stripe), FarEnd(http, stack.urls.carrier)

        async def deliver(name: str, count: int) -> list[str]:
            shift = await drive(service.place, [f"{name}-{number}" for number in range(count)], AT_ONCE)
            await service.settle(shift)
            await service.all_reached(shift.keys, "DELIVERED")
            await service.webhooks_followed_up()
            return shift.keys

        await service.prepare()
        await deliver("warm-up", WARM_UP)
        at_rest = await measuring.at_rest()
        for far_end in far_ends:
            await far_end.take(None)
        before = await measuring.read()
        keys = await deliver("order", orders)
        after = await measuring.read()
        calls = [(await far_end.journal()).by_operation() for far_end in far_ends]
        histories = await measuring.histories(keys[:: max(1, orders // SAMPLE)])
    return per_order(after.since(before), at_rest, after.at - before.at, orders, histories, *calls)


def per_order(
    spent: Mapping[str, float],
    at_rest: Mapping[str, float],
    seconds: float,
    orders: int,
    histories: Mapping[str, float],
    *calls: Mapping[str, int],
) -> PerOrder:
    """Less what would have been spent with nothing to do."""
    each = {name: max(0.0, value - at_rest[name] * seconds) / orders for name, value in spent.items()}
    stripe, carrier = ({name: count / orders for name, count in one.items()} for one in calls)
    counted: dict[str, Any] = {name: value for name, value in each.items() if name not in PARTS}
    cpu = {name: 1000 * each[name] for name in PARTS}
    return PerOrder(cpu_ms=cpu, stripe_calls=stripe, carrier_calls=carrier, **counted, **histories)
