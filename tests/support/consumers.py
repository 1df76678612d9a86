"""Events to consume, consumers that note what they got, and loops of them on a broker in memory."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.bus.port import Broker
from adapters.clock import now
from adapters.postgres.advisory_locks import AdvisoryLocks
from adapters.settings import Settings
from domain.cloud_events import CloudEvent
from domain.errors import InvalidInput
from domain.events import EventName
from events.consumer import Consumer
from events.consumer_batches import Done
from events.consumer_loop import ConsumerLoop
from events.consumer_stream import Rewound
from tests.support.waiting import until

NAMESPACE = 77  # of the advisory locks of tests


def order_event(
    subject: str, sequence: int, name: EventName = EventName.ORDER_PLACED, version: int = 1, **data: Any
) -> CloudEvent:
    """An event of an order, with all that its type says; `data` replaces fields by their names in JSON."""
    event_id = f"{subject}-{sequence}"
    at = now()
    fields = {
        "eventId": event_id, "eventType": name.value, "detailType": name.value, "timestamp": at.isoformat(),
        "orderId": subject, "userId": "c-1", "customerId": "c-1", "orderStatus": "PLACED", "paymentStatus": "Pending",
        "items": [{"productId": "001", "quantity": 1, "price": "79.99"}], "currency": "USD", "totalAmount": "79.99",
    }  # fmt: skip
    return CloudEvent(
        id=event_id,
        type=name.type.replace(".v1", f".v{version}"),
        source="/orders",
        subject=subject,
        sequence=sequence,
        time=at,
        data={**fields, **data},
    )


def stock_event(product_id: str, sequence: int, before: int, after: int) -> CloudEvent:
    event_id, at = f"{product_id}-{sequence}", now()
    data = {
        "eventId": event_id, "eventType": "InventoryUpdated", "timestamp": at.isoformat(), "productId": product_id,
        "quantityChange": after - before, "newQuantity": after,
    }  # fmt: skip
    return CloudEvent(
        id=event_id, type=EventName.INVENTORY_UPDATED.type, source="/products", subject=product_id, sequence=sequence,
        time=at, data=data,
    )  # fmt: skip


class Ledger(Consumer):
    """Writes each event into a table without any guard of its own: what is applied twice is there twice."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"ledger-{secrets.token_hex(4)}"
        self.table = f"ledger_{self.name.replace('-', '_')}"
        self.refuses: set[str] = set()
        self.breaks: dict[str, Exception] = {}  # raised once for an event's id
        self.batches: list[list[str]] = []

    async def apply(self, connection: AsyncConnection, events: Sequence[CloudEvent]) -> None:
        self.batches.append([event.id for event in events])
        for event in events:
            statement = text(f"INSERT INTO {self.table} (subject, sequence) VALUES (:subject, :sequence)")  # noqa: S608
            await connection.execute(statement, {"subject": event.subject, "sequence": event.sequence})
            if event.id in self.refuses:
                raise InvalidInput("not_this_one", "the ledger does not take it")
            if error := self.breaks.pop(event.id, None):
                raise error

    async def make(self, engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(
                text(f"CREATE TABLE {self.table} (id bigserial PRIMARY KEY, subject text, sequence bigint)")
            )

    async def held(self, engine: AsyncEngine) -> list[tuple[str, int]]:
        """What was applied, in its order."""
        async with engine.connect() as connection:
            rows = await connection.execute(text(f"SELECT subject, sequence FROM {self.table} ORDER BY id"))  # noqa: S608
            return [(row.subject, row.sequence) for row in rows]


class EveryEvent(Ledger):
    """A ledger that looks neither at the sequence nor at what came before."""

    in_order = False
    holds_subject = False


class NotHolding(Ledger):
    """A ledger whose subjects go on behind an event that was parked."""

    holds_subject = False


class Counts:
    """A meter that tests can read."""

    def __init__(self) -> None:
        self.applied = self.repeats = self.parked = self.failures = 0
        self.rewinds: Counter[Rewound] = Counter()

    def done(self, consumer: str, done: Done) -> None:
        self.applied += len(done.applied)
        self.repeats += done.repeats
        self.parked += len(done.parked)

    def rewound(self, consumer: str, why: Rewound) -> None:
        self.rewinds[why] += 1

    def failed(self, consumer: str) -> None:
        self.failures += 1


class Running:
    """A consumer that runs in this process."""

    def __init__(self, loop: ConsumerLoop, counts: Counts) -> None:
        self.loop, self.counts = loop, counts
        self.task = asyncio.create_task(loop.run())

    async def owns(self, partitions: int) -> None:
        await until(lambda: _later(len(self.loop.partitions)), partitions)


async def _later(value: int) -> int:
    return value


@asynccontextmanager
async def running(
    consumer: Consumer, broker: Broker, engine: AsyncEngine, settings: Settings
) -> AsyncIterator[Running]:
    counts = Counts()
    async with AdvisoryLocks(settings, NAMESPACE) as locks:
        one = Running(ConsumerLoop(consumer, consumer.rule, broker, engine, locks, counts), counts)
        try:
            yield one
        finally:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)
