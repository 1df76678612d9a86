"""What events cost an order: `python -m benchmarks.events_per_order`.

PostgreSQL and NATS are real. This process writes the events of good orders at a steady rate, as a shop's own
transactions do: first alone, then with hints, relay, and all consumers with their mail, as a relay process runs them.
The difference is what events add; CPU is that of this process, of PostgreSQL and of NATS.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles

import psutil
import uvloop
from pydantic_core import to_json
from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.common import MetricMeter

from adapters.bus.connect import open_broker
from adapters.postgres.database import autocommit, create_engine, create_sessions, dispose
from adapters.postgres.hints import Hints
from adapters.settings import Settings
from benchmarks.options import positive
from devstack.stack.stack import Stack
from domain.cloud_events import CloudEvent
from domain.events import EventName
from domain.notifications import MESSAGES
from events.consumer_batches import Done
from events.consumer_stream import Rewound
from events.consumers_main import build_consumers
from events.metrics import RelayMetrics
from events.relay import OutboxLoop
from relay import build_outbox
from services.customers.tables import Customer
from services.outbox.waiting import CHANNEL
from tests.support.consumers import order_event, stock_event

TRANSACTIONS = (
    (EventName.ORDER_PLACED,),
    (EventName.INVENTORY_RESERVED,),
    (EventName.PAYMENT_AUTHORIZED, EventName.ORDER_CONFIRMED),
    (EventName.SHIPMENT_BOOKED,),
    (EventName.PAYMENT_CAPTURED,),
    (EventName.ORDER_SHIPPED, EventName.INVENTORY_UPDATED),
    (EventName.ORDER_DELIVERED,),
)
"""Of a good order, each with its events."""
MAILS = sum(name in MESSAGES for names in TRANSACTIONS for name in names)
WRITTEN = {"id", "type", "source", "subject", "sequence", "data"}
LOOK = 0.5  # seconds

_WRITE = text("""
    INSERT INTO outbox (event_id, type, source, subject, sequence, time, data)
    SELECT id, type, source, subject, sequence, clock_timestamp(), data
      FROM json_to_recordset(CAST(:events AS json))
        AS new (id text, type text, source text, subject text, sequence bigint, data jsonb)
""")


class Seen:
    """When each event's effect was committed, by consumer."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, str], float] = {}

    def done(self, consumer: str, done: Done) -> None:
        at = time.perf_counter()
        self.at.update({(consumer, one.event.id): at for one in done.applied})

    def rewound(self, consumer: str, why: Rewound) -> None: ...

    def failed(self, consumer: str) -> None: ...


class Cpu:
    """CPU seconds so far: of this process and of the stack's servers, which are its children."""

    def __init__(self) -> None:
        self.own = time.process_time()
        self.postgres, self.nats = self._of("postgres"), self._of("nats-server")

    def _of(self, name: str) -> float:
        total = 0.0
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if process.name() == name:
                    total += sum(process.cpu_times()[:2])
        return total

    def since(self, before: Cpu, orders: int) -> tuple[float, float, float]:
        """Milliseconds an order."""
        spent = (self.own - before.own, self.postgres - before.postgres, self.nats - before.nats)
        return tuple(1000 * one / orders for one in spent)  # type: ignore[return-value]


class Shop:
    """Writes what orders tell."""

    def __init__(self, engine: AsyncEngine, rate: int) -> None:
        self._writes, self._rate, self._stock = autocommit(engine), rate, 0
        self.committed: dict[str, float] = {}

    async def trade(self, run: str, seconds: float, hints: Hints | None) -> int:
        """So many seconds of orders; how many they were."""
        orders, steps = int(self._rate * seconds), len(TRANSACTIONS)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as writers:
            for number in range(orders * steps):  # the transactions of several orders are mixed, as in a shop
                await asyncio.sleep(max(0.0, began + number / (self._rate * steps) - time.perf_counter()))
                step, order = number // orders, number % orders
                writers.create_task(self._commit(self._events(f"{run}{order:06d}", step), hints))
        return orders

    def _events(self, order_id: str, step: int) -> list[CloudEvent]:
        first = 1 + sum(len(names) for names in TRANSACTIONS[:step])
        found = []
        for sequence, name in enumerate(TRANSACTIONS[step], start=first):
            if name is EventName.INVENTORY_UPDATED:
                self._stock += 1
                found.append(stock_event("p1", self._stock, 10**6, 10**6 - 1))
            else:
                found.append(order_event(order_id, sequence, name, customerId="bench"))
        return found

    async def _commit(self, events: Sequence[CloudEvent], hints: Hints | None) -> None:
        async with self._writes.connect() as connection:
            rows = [
                event.model_dump(include={"id", "type", "source", "subject", "sequence", "data"}) for event in events
            ]
            await connection.execute(_WRITE, {"events": to_json(rows).decode()})
        at = time.perf_counter()
        if hints is not None:
            hints.give(CHANNEL)
            self.committed.update({event.id: at for event in events})


@asynccontextmanager
async def _started() -> AsyncIterator[tuple[Settings, AsyncEngine]]:
    """PostgreSQL with a customer, and NATS."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        environ = {"PATH": os.environ["PATH"], "HOME": name}
        async with Stack(Path(name), parts={"postgres", "nats"}, environ=environ) as stack:
            settings = Settings(
                database_url=stack.environment["DATABASE_URL"],
                broker_url=stack.environment["ORDERSAGA_BROKER_URL"],
                broker_consumer_url=stack.environment["ORDERSAGA_BROKER_CONSUMER_URL"],
                mail_url=f"folder:{name}/mail",
            )
            engine = create_engine(settings)
            async with create_sessions(engine)() as session, session.begin():
                session.add(Customer(customer_id="bench", name="Alice", email="alice@example.com"))
            try:
                yield settings, engine
            finally:
                await dispose(engine)


@asynccontextmanager
async def _publishing(settings: Settings, engine: AsyncEngine, seen: Seen) -> AsyncIterator[None]:
    """What a relay process runs for events."""
    outbox = build_outbox(settings, engine, RelayMetrics(MetricMeter.noop))
    assert outbox is not None
    assert settings.broker_consumer_url is not None
    loop, broker = (
        OutboxLoop(settings, outbox),
        open_broker(settings.broker_consumer_url.get_secret_value(), settings),
    )
    tasks = [asyncio.create_task(one) for one in loop.loops()]
    try:
        async with build_consumers(settings, broker, engine, meter=seen):
            yield
    finally:
        await loop.stop()
        for task in tasks:
            task.cancel()
        await broker.aclose()


async def measure(rate: int, seconds: int, profile: str | None) -> None:
    async with _started() as (settings, engine):
        shop, seen, hints = Shop(engine, rate), Seen(), Hints(engine)
        await shop.trade("warm", 1.0, None)
        before = Cpu()
        orders = await shop.trade("alone", seconds, None)
        alone = Cpu().since(before, orders)
        async with _publishing(settings, engine, seen):
            await _caught_up(engine)
            await shop.trade("again", 1.0, hints)
            await _caught_up(engine)
            shop.committed.clear()
            with _profiled(profile):
                before = Cpu()
                orders = await shop.trade("events", seconds, hints)
                await _caught_up(engine)
                spent = Cpu().since(before, orders)
        await hints.aclose()
    out = Console(highlight=False, width=120)
    _tell(out, rate, orders, alone, spent)
    _tell_delays(out, shop, seen)


async def _caught_up(engine: AsyncEngine) -> None:
    """All is published, applied and sent."""
    left = text("""
        SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL)
             + (SELECT count(*) FROM notifications WHERE ended_at IS NULL)
             + (SELECT count(*) FROM outbox WHERE NOT EXISTS (
                    SELECT FROM event_archive WHERE event_archive.event_id = outbox.event_id))
    """)
    while True:
        async with engine.connect() as connection:
            if (await connection.execute(left)).scalar_one() == 0:
                return
        await asyncio.sleep(LOOK)


@contextmanager
def _profiled(file: str | None) -> Iterator[None]:
    """Writes a profile of this process, where one is wanted."""
    if file is None:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(file)


def _tell(
    out: Console, rate: int, orders: int, alone: tuple[float, float, float], spent: tuple[float, float, float]
) -> None:
    events = sum(len(names) for names in TRANSACTIONS)
    out.print(
        f"{orders} orders at {rate} a second: {events} events in {len(TRANSACTIONS)} transactions, {MAILS} mails each"
    )
    added = [with_events - before for with_events, before in zip(spent, alone, strict=True)]
    out.print("CPU an order in ms: of this process, PostgreSQL, NATS")
    for name, row in (("orders alone", alone), ("with events", spent), ("added", added)):
        out.print(f"  {name:14} {row[0]:6.1f} {row[1]:6.1f} {row[2]:6.1f}   all {sum(row):6.1f}")


def _tell_delays(out: Console, shop: Shop, seen: Seen) -> None:
    for consumer in sorted({name for name, _ in seen.at}):
        both = [event_id for event_id in shop.committed if (consumer, event_id) in seen.at]
        lags = sorted(1000 * (seen.at[consumer, one] - shop.committed[one]) for one in both)
        out.print(
            f"  commit to effect of {consumer}: p50 {median(lags):.0f}, p99 {quantiles(lags, n=100)[98]:.0f} ms"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events_per_order", description=__doc__)
    parser.add_argument("--rate", type=positive, default=20, help="orders a second")
    parser.add_argument("--seconds", type=positive, default=15, help="of each part")
    parser.add_argument("--profile", help="a file for what cProfile finds")
    chosen = parser.parse_args()
    uvloop.run(measure(chosen.rate, chosen.seconds, chosen.profile))
