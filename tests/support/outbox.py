"""An outbox of a test's own, filled by hand, and relays over it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.port import Broker
from adapters.clock import now
from adapters.postgres.database import autocommit, create_sessions
from adapters.postgres.partition_locks import PartitionLocks
from domain.cloud_events import CloudEvent
from events.outbox_relay import Lanes, OutboxRelay, Turn
from events.parked_events import ParkedEvents
from services.outbox.waiting import LANES, Waiting
from tests.support.fake_broker import FakeBroker
from tests.support.waiting import until

END_THE_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
     WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
PLACED = "ordersaga.order.placed.v1"

_INSERT = text("""
    INSERT INTO outbox (event_id, type, source, subject, sequence, time, traceparent, data)
    SELECT CAST(:prefix AS text) || '-' || subject || '-' || sequence, :type, :source, subject, sequence, :at,
           CAST(:traceparent AS text), CAST(:data AS jsonb)
      FROM unnest(CAST(:subjects AS text[]), CAST(:sequences AS bigint[])) WITH ORDINALITY
        AS given (subject, sequence, place) ORDER BY place
    RETURNING event_id
""")


class Counts:
    """What a relay would tell Prometheus."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.parked = 0
        self.failures = 0

    def published(self, lags: Sequence[float]) -> None:
        self.lags += lags

    def refused(self) -> None:
        self.parked += 1

    def failed(self, number: int) -> None:
        self.failures += number


class AllLanes:
    """Owned without asking anybody."""

    async def renew(self) -> Collection[int]:
        return range(LANES)

    async def aclose(self) -> None:
        return None


class Outbox:
    """The outbox of one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.writes = autocommit(engine)
        self._sequences: dict[str, int] = {}
        self._run = secrets.token_hex(4)

    async def write(
        self, *subjects: str, kind: str = PLACED, at: datetime | None = None, source: str = "/orders", **more: Any
    ) -> list[str]:
        """One event for each subject named, in this order; their ids."""
        sequences = []
        for subject in subjects:
            self._sequences[subject] = self._sequences.get(subject, 0) + 1
            sequences.append(self._sequences[subject])
        values = {
            "prefix": self._run,
            "type": kind,
            "source": source,
            "at": at or now(),
            "traceparent": more.get("traceparent"),
            "data": json.dumps(more.get("data", {"eventId": "e"})),
            "subjects": list(subjects),
            "sequences": sequences,
        }
        async with self.writes.connect() as connection:
            return list((await connection.execute(_INSERT, values)).scalars())

    def relay(
        self,
        broker: Broker,
        *,
        lanes: Lanes | None = None,
        kept: timedelta = timedelta(days=1),
        counts: Counts | None = None,
    ) -> OutboxRelay:
        parked = ParkedEvents(create_sessions(self.engine))
        return OutboxRelay(Waiting(self.writes), lanes or AllLanes(), broker, parked, counts or Counts(), kept)

    async def rows(self, where: str = "true") -> list[Any]:
        async with self.writes.connect() as connection:
            return list((await connection.execute(text(f"SELECT * FROM outbox WHERE {where} ORDER BY id"))).all())  # noqa: S608

    async def waiting(self) -> int:
        return len(await self.rows("published_at IS NULL AND parked_at IS NULL"))

    async def change(self, statement: str, **values: Any) -> None:
        async with self.writes.connect() as connection:
            await connection.execute(text(statement), values)


async def drained(relay: OutboxRelay) -> list[Turn]:
    """Turns until nothing is left that may be sent now."""
    turns = [await relay.turn()]
    while turns[-1].taken:
        turns.append(await relay.turn())
    return turns


def told(broker: FakeBroker) -> list[CloudEvent]:
    """What the broker keeps, in the order in which it took it."""
    return [CloudEvent.from_json(one.incoming.body) for one in broker.all]


def first_deliveries(broker: FakeBroker) -> dict[str, list[int]]:
    """The sequences of each subject, without repeats."""
    found: dict[str, list[int]] = {}
    for event in told(broker):
        seen = found.setdefault(event.subject, [])
        if event.sequence not in seen:
            seen.append(event.sequence)
    return found


def applied(broker: FakeBroker) -> dict[str, list[int]]:
    """What a consumer applies that ignores whatever is not greater than the last sequence of its subject."""
    found: dict[str, list[int]] = {}
    for event in told(broker):
        seen = found.setdefault(event.subject, [])
        if not seen or event.sequence > seen[-1]:
            seen.append(event.sequence)
    return found


async def until_lanes(locks: PartitionLocks, number: int = LANES) -> None:
    """Until the locks have so many."""

    async def held() -> int:
        return len(await locks.renew())

    await until(held, number)
