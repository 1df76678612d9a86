"""What live streams of orders cost: `python -m benchmarks.listeners`.

First what a change of an order costs with and without its hint, while nobody listens, in blocks that take turns.
Then one API process holds the listeners: each of its own order, then a hundred of each of a few. Latency is from the
commit of a row to the listener that has read it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.table import Table

from adapters.postgres.database import Sessions, create_engine, create_sessions, dispose
from adapters.postgres.hints import Hints
from adapters.settings import Settings
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import percentile
from benchmarks.processes import CpuMeter, CpuReading
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.progress import Progress
from devstack.stack.stack import Stack
from services.orders.book import LockedOrder, OrderBook
from services.orders.hints import hinting
from services.orders.placement import NewOrder, place
from services.orders.pricing import Pieces

PARTS = {"postgres", "temporal", "stripe", "carrier", "api"}
PER_SECOND = 160  # changes: those of 20 orders
CHANGES = 8  # that an order goes through
BLOCK = 4.0  # seconds
CROWD = 100  # listeners of one order, where many look at the same
SETTLED = 1.0  # seconds for what is under way


class Listeners:
    """Connections that read streams; one that misses a row, or gets one twice, ends the measurement."""

    def __init__(self, url: str, who: Bearer) -> None:
        self._who = who
        self._host, self._port = str(urlsplit(url).hostname), int(urlsplit(url).port or 80)
        self._tasks: list[asyncio.Task[None]] = []
        self._began = 0
        self.committed: dict[tuple[str, int], float] = {}
        self.arrived: list[tuple[str, int, float]] = []

    @property
    def seconds(self) -> list[float]:
        """From each row's commit to its arrival; a row may be read before its writer has the commit's answer."""
        return [max(0.0, at - self.committed[order_id, row]) for order_id, row, at in self.arrived]

    async def begin(self, order_ids: Sequence[str]) -> None:
        """One for each of the ids, which may repeat."""
        self._tasks = [asyncio.create_task(self._read(order_id)) for order_id in order_ids]
        async with asyncio.timeout(30):
            while self._began < len(order_ids):
                await asyncio.sleep(0.05)
                self.check()

    def check(self) -> None:
        """Raises what ended a connection that should go on."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self._began = [], 0

    async def _read(self, order_id: str) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        head = f"GET /api/orders/{order_id}/events HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n"
        head += f"Authorization: Bearer {self._who.token}\r\n\r\n"
        writer.write(head.encode())
        try:
            if b" 200 " not in await reader.readline():
                raise BenchmarkFailed("a stream was refused")
            last = 0
            async for line in reader:
                if line.startswith(b"id: "):
                    self._began += not last
                    if int(line[4:]) != last + 1:
                        raise BenchmarkFailed(f"row {int(line[4:])} came behind row {last}")
                    last += 1
                    self.arrived.append((order_id, last, time.perf_counter()))
        finally:
            writer.close()


class Writer:
    """Adds rows to orders at a steady rate, as the workers of a busy shop do."""

    def __init__(self, sessions: Sessions, listeners: Listeners, hints: Hints) -> None:
        self._listeners, self._hint = listeners, hinting(hints)
        self.silent, self.telling = OrderBook(sessions), OrderBook(sessions, committed=self._committed)

    def _committed(self, order: LockedOrder) -> None:
        self._listeners.committed[order.row.order_id, order.row.version] = time.perf_counter()
        self._hint(order)

    async def write(self, book: OrderBook, order_ids: Sequence[str], seconds: float) -> int:
        """How many rows were written."""
        began, tasks = time.perf_counter(), list[asyncio.Task[None]]()
        while (elapsed := time.perf_counter() - began) < seconds:
            for _ in range(int(elapsed * PER_SECOND) - len(tasks)):
                tasks.append(asyncio.create_task(self._note(book, order_ids[len(tasks) % len(order_ids)])))
            await asyncio.sleep(0.005)
        await asyncio.gather(*tasks)
        return len(tasks)

    async def _note(self, book: OrderBook, order_id: str) -> None:
        async with book.locked(order_id) as order:
            order.note("measured")


async def placed(sessions: Sessions, count: int) -> list[str]:
    """The ids of so many orders that no worker carries out."""
    wanted = [
        NewOrder(
            order_id=secrets.token_hex(16),
            key=f"listener-{number}",
            fingerprint="benchmark",
            customer_id="001",
            items=[Pieces("001", 1)],
            payment_method="pm_card_visa",
        )
        for number in range(count)
    ]
    return [(await place(sessions, one)).order_id for one in wanted]


async def cost_of_hints(writer: Writer, meter: CpuMeter, order_ids: Sequence[str], turns: int) -> Table:
    """While nobody listens."""
    used: dict[str, list[CpuReading]] = {"without": [], "with hints": []}
    written = 0
    for turn in range(turns + 1):
        for kind, book in (("without", writer.silent), ("with hints", writer.telling)):
            before = meter.read()
            count = await writer.write(book, order_ids, BLOCK)
            await asyncio.sleep(SETTLED / 5)
            if turn:  # the first turn warms up
                used[kind].append(meter.read().since(before))
                written += count if kind == "without" else 0
    table = Table("hints", "writer us/change", "postgres us/change", f"ms per order of {CHANGES} changes", "changes")
    for kind, readings in used.items():
        own, database = (sum(one.groups[name] for one in readings) / written for name in ("controller", "postgres"))
        shown = (f"{1e6 * own:.0f}", f"{1e6 * database:.0f}", f"{1e3 * CHANGES * (own + database):.2f}")
        table.add_row(kind, *shown, str(written))
    return table


async def cost_of_listeners(
    writer: Writer, listeners: Listeners, meter: CpuMeter, api: int, scenes: dict[str, Sequence[str]]
) -> Table:
    figures = ("KB each", "deliveries", "API us/delivery", "p50 ms", "p99 ms", "missing")
    table = Table("listeners", *figures)
    empty = psutil.Process(api).memory_info().rss
    for scene, order_ids in scenes.items():
        await listeners.begin(order_ids)
        await asyncio.sleep(SETTLED)
        held = psutil.Process(api).memory_info().rss
        listeners.arrived.clear()
        watched, before = list(dict.fromkeys(order_ids)), meter.read()
        written = await writer.write(writer.telling, watched, 2 * BLOCK)
        await asyncio.sleep(SETTLED)
        used, seconds = meter.read().since(before).groups["api"], listeners.seconds
        listeners.check()
        expected = sum(order_ids.count(watched[number % len(watched)]) for number in range(written))
        table.add_row(
            scene,
            f"{(held - empty) / len(order_ids) / 1024:.0f}",
            str(len(seconds)),
            f"{1e6 * used / len(seconds):.0f}",
            f"{1000 * percentile(seconds, 50):.1f}",
            f"{1000 * percentile(seconds, 99):.1f}",
            str(expected - len(seconds)),
        )
        await listeners.end()
        await asyncio.sleep(SETTLED)
    return table


async def measure(stack: Stack, count: int, turns: int) -> list[Table]:
    async with AsyncExitStack() as closing:
        engine = create_engine(Settings(database_url=stack.environment["DATABASE_URL"]))
        closing.push_async_callback(dispose, engine)
        hints = Hints(engine)
        closing.push_async_callback(hints.aclose)
        sessions, listeners = create_sessions(engine), Listeners(stack.urls.api, Bearer(stack.folder))
        order_ids = await placed(sessions, count)
        meter = CpuMeter({name: [stack.pids[name]] for name in ("api", "postgres")})
        writer = Writer(sessions, listeners, hints)
        scenes: dict[str, Sequence[str]] = {
            f"{count}, each of its own order": order_ids,
            f"{count}, {CROWD} of each order": order_ids[: max(1, count // CROWD)] * CROWD,
        }
        hinted = await cost_of_hints(writer, meter, order_ids, turns)
        return [hinted, await cost_of_listeners(writer, listeners, meter, stack.pids["api"], scenes)]


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listeners", description=__doc__)
    parser.add_argument("--listeners", type=int, default=500, help="at once (default: 500)")
    parser.add_argument("--turns", type=int, default=2, help="blocks of 4 s, with and without hints (default: 2)")
    given = parser.parse_args(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="ordersaga-listeners-", ignore_cleanup_errors=True) as folder:
        observe = Progress()
        environ = {**os.environ, "ORDERSAGA_MAX_LISTENERS": str(given.listeners)}
        async with Stack(Path(folder), ephemeral=True, parts=PARTS, environ=environ, observe=observe) as stack:
            tables = await measure(stack, given.listeners, given.turns)
            observe.stopping()
    for table in tables:
        Console().print(table)
    return 0


if __name__ == "__main__":
    run_command(main())
