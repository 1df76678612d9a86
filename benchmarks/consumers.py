"""How many events a second each consumer applies, and what one costs: `python -m benchmarks.consumers`.

The broker is in memory and PostgreSQL is real, so this is the cost of the consumers alone: their own CPU and that of
the database. `pace` 0 catches up with a backlog; another one puts so many events a second, as a live shop does.
"""

import argparse
import asyncio
import resource
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.mail.folder import MailFolder
from adapters.postgres.advisory_locks import AdvisoryLocks
from adapters.postgres.database import create_engine, create_sessions, dispose
from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.cloud_events import CloudEvent
from domain.events import EventName
from events.consumer import Consumer
from events.consumer_loop import ConsumerLoop
from events.consumers.event_archive import EventArchive
from events.consumers.notifications import Notifications
from events.consumers.stock_hints import StockHints
from events.mail import MailSender
from services.customers.tables import Customer
from tests.support.consumers import Counts, order_event, stock_event
from tests.support.unreliable_broker import UnreliableBroker

STORY = [
    EventName.ORDER_PLACED, EventName.INVENTORY_RESERVED, EventName.PAYMENT_AUTHORIZED, EventName.ORDER_CONFIRMED,
    EventName.SHIPMENT_BOOKED, EventName.PAYMENT_CAPTURED, EventName.ORDER_SHIPPED, EventName.ORDER_DELIVERED,
]  # fmt: skip
"""The events of a good order; its product's InventoryUpdated comes with OrderShipped."""


def events_of(orders: int, run: str) -> list[CloudEvent]:
    """In the order in which they happen: all orders one step, then all the next one."""
    found = []
    for step, name in enumerate(STORY, start=1):
        for number in range(orders):
            found.append(order_event(f"{run}{number:08d}", step, name, customerId=f"c{run}"))
            if name is EventName.ORDER_SHIPPED:
                found.append(stock_event(f"p{run}{number % 50}", 1 + number // 50, 9_000 - number, 8_999 - number))
    return found


@dataclass
class Cost:
    """What a run took: events read by the consumer, wall seconds, CPU seconds of this process and of PostgreSQL."""

    events: int
    seconds: float
    own: float
    database: float

    def __str__(self) -> str:
        own, database = (1e6 * cpu / self.events for cpu in (self.own, self.database))
        return f"{self.events / self.seconds:8.0f} events/s {own:6.0f} us own {database:6.0f} us PostgreSQL an event"


def database_cpu() -> float:
    """Of the stack's server, which is our child; its connections stay open while it is measured."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.name() == "postgres":
                total += sum(process.cpu_times()[:2])
    return total


def own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _measured(work: Callable[[], asyncio.Future[int]]) -> Cost:
    own, database, began = own_cpu(), database_cpu(), time.monotonic()
    count = await work()
    return Cost(count, time.monotonic() - began, own_cpu() - own, database_cpu() - database)


class Bench:
    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings

    async def run(self, consumer: Consumer, orders: int, pace: float) -> Cost:
        """Every event of so many orders, until the last one was read and its position written."""
        broker, counts = UnreliableBroker(), Counts()
        consumer.name = f"{consumer.name}-{secrets.token_hex(4)}"
        events = events_of(orders, secrets.token_hex(3))
        async with AdvisoryLocks(self._settings, 79) as locks:
            loop = ConsumerLoop(consumer, consumer.rule, broker, self._engine, locks, counts)
            task = asyncio.create_task(loop.run())
            while len(loop.partitions) < broker.partitions:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await broker.put(*(events[:50]))  # tables, plans and connections are warm
            await self._reaches_end(loop, broker)

            async def work() -> int:
                if pace:
                    for start in range(50, len(events), 5):
                        await broker.put(*events[start : start + 5])
                        await asyncio.sleep(5 / pace)
                else:
                    await broker.put(*events[50:])
                await self._reaches_end(loop, broker)
                return len(events) - 50

            try:
                return await _measured(work)  # type: ignore[arg-type]
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _reaches_end(self, loop: ConsumerLoop, broker: UnreliableBroker) -> None:
        for partition in range(broker.partitions):
            last = (await broker.head(partition)).last
            while loop.place_of(partition) < last:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def mail(self, orders: int, folder: Path) -> Cost:
        """Renders and writes the messages of so many orders."""
        run = secrets.token_hex(3)
        async with create_sessions(self._engine)() as session, session.begin():
            session.add(Customer(customer_id=f"c{run}", name="Alice", email="alice@example.com"))
        events = [one for one in events_of(orders, run) if one.subject.startswith(run)]
        wanted = [one for one in events if one.data["eventType"] in {"OrderPlaced", "OrderShipped"}]
        async with self._engine.begin() as connection:
            await connection.execute(text("TRUNCATE notifications"))  # of the runs before
            await Notifications().apply(connection, wanted)
        async with AdvisoryLocks(self._settings, 79) as locks:
            sender = MailSender(self._settings, MailFolder(folder, "a@example.com"), self._engine, locks)

            async def work() -> int:
                total = 0
                while sent := await sender.send_due():
                    total += sent
                return total

            return await _measured(work)  # type: ignore[arg-type]


async def main(orders: int, pace: float) -> None:
    out = Console(highlight=False, width=140)
    with tempfile.TemporaryDirectory(prefix="ordersaga-bench-", ignore_cleanup_errors=True) as folder:
        async with Stack(Path(folder), parts={"postgres"}) as stack:
            settings = Settings(database_url=stack.environment["DATABASE_URL"])
            engine = create_engine(settings)
            bench = Bench(engine, settings)
            makers: list[Callable[[], Consumer]] = [
                lambda: EventArchive(engine), Notifications, lambda: StockHints(5)
            ]  # fmt: skip
            for each in (0.0, pace) if pace else (0.0,):
                kind = f"{each:.0f} events/s put" if each else "catching up"
                for make in makers:
                    consumer = make()
                    name = consumer.name
                    out.print(f"{name:14} {kind:18} {await bench.run(consumer, orders if not each else 250, each)}")
            cost = await bench.mail(orders // 5, Path(folder) / "mail")
            out.print(f"{'mail to files':14} {'catching up':18} {cost}")
            await dispose(engine)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2_000, help="of nine events each")
    parser.add_argument("--pace", type=float, default=200.0, help="events a second of a second part; 0: none")
    options = parser.parse_args()
    asyncio.run(main(options.orders, options.pace))
