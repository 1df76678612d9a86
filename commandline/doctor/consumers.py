"""The check of `ordersaga doctor` for consumers: how far behind they are, who reads, and what waits for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.advisory_locks import holders
from adapters.settings import Settings
from commandline.doctor.asking import ask
from commandline.doctor.checks import Check, fail, ok, warn
from events.consumer_loop import lock_of
from events.consumers_main import NAMESPACE

CONSUMERS = "Consumers"
LATE = 60.0  # seconds; a consumer is milliseconds behind

_PLACES = text("""
    SELECT consumer, array_agg(partition ORDER BY partition) AS partitions, sum(lag) AS lag,
           coalesce(EXTRACT(EPOCH FROM now() - min(behind_since)), 0) AS behind,
           (SELECT count(*) FROM dead_letters
             WHERE dead_letters.consumer = consumer_positions.consumer AND resolved_at IS NULL) AS dead
      FROM consumer_positions GROUP BY consumer ORDER BY consumer
""")


async def check_consumers(settings: Settings, late: float = LATE) -> list[Check]:
    """One check for each that has ever read; nothing without a broker, or without a database to ask."""
    if settings.broker_url is None and settings.broker_consumer_url is None:
        return []
    found = await ask(settings, _places)
    if found is None:
        return []
    if not found:
        return warn(CONSUMERS, "none has read anything yet", "start a relay, in which they run: `python relay.py`")
    return [check for row, owners in found for check in _check(row, owners, late)]


async def _places(connection: AsyncConnection) -> list[tuple[Row[Any], Mapping[str, str]]]:
    """Each consumer with who reads which of its partitions."""
    return [(row, await _owners(connection, row)) for row in await connection.execute(_PLACES)]


async def _owners(connection: AsyncConnection, row: Row[tuple[object, ...]]) -> Mapping[str, str]:
    return await holders(connection, NAMESPACE, [lock_of(row.consumer, partition) for partition in row.partitions])


def _check(row: Row[tuple[object, ...]], owners: Mapping[str, str], late: float) -> list[Check]:
    name, partitions = f"Consumer {row.consumer}", len(row.partitions)
    if len(owners) < partitions:
        mend = "start a relay, in which consumers run: `python relay.py`"
        return fail(name, f"nobody reads {partitions - len(owners)} of its {partitions} partitions", mend)
    if row.behind > late:
        mend = "look at the log of the relays and at the broker"
        found = f"it is {row.lag} positions behind, and was at the end {row.behind:.0f} s ago"
        return fail(name, found, mend)
    if row.dead:
        mend = f"see `ordersaga events dead --consumer {row.consumer}`"
        return warn(name, f"{row.dead} events wait for a person", mend)
    readers = ", ".join(f"{owner} reads {number}" for owner, number in sorted(Counter(owners.values()).items()))
    return ok(name, f"{row.lag} positions behind; of {partitions} partitions {readers}")
