"""`python -m benchmarks.peers.crash`: each engine is killed; no order is lost, done twice or left half done.

Of each engine 200 orders are placed, 20 at once, when a process is killed with SIGKILL and started again. Then:

1. Nobody asks for anything: what was begun must come to its end by itself.
2. A client that got no answer sends all orders again under the same ids: nothing may happen twice.

At the end the last step of one more order is refused by the database for good: its first two must be undone.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
from rich.console import Console

from benchmarks.errors import BenchmarkFailed
from benchmarks.peers import parts
from benchmarks.peers.__main__ import open_stack
from benchmarks.peers.installation import install
from benchmarks.peers.stations import stations_of
from benchmarks.processes import StationProcess
from devstack.stack.interruption import run_command
from devstack.stack.stack import Stack

ORDERS, AT_ONCE = 200, 20
BEGUN = 40  # orders with an effect before the process is killed
PATIENCE = 90.0  # seconds until everything that was begun is done: some engines wait before they try again
LOOK_EVERY = 0.05  # seconds

_COUNTS = """
    SELECT (SELECT count(*) FROM bench.reservations WHERE order_id LIKE $1),
           (SELECT count(*) FROM bench.shipments WHERE order_id LIKE $1)
"""

_REFUSE = """
    ALTER TABLE bench.shipments DROP CONSTRAINT IF EXISTS refused,
        ADD CONSTRAINT refused CHECK (order_id NOT LIKE 'refused-%')
"""
_LEFT = """
    SELECT (SELECT count(*) FROM bench.reservations WHERE order_id = $1)
         + (SELECT count(*) FROM bench.payments WHERE order_id = $1)
"""


@dataclass(frozen=True)
class Case:
    """Which process dies: a part of the stack, or else the station of that name."""

    name: str
    kind: str
    station: str  # places the orders
    victim: str


CASES = (
    Case("ours, the worker", "ours", "load", "worker"),
    Case("DBOS, its process", "dbos", "dbos", "dbos"),
    Case("DBOS with transactions, its process", "dbos-transactions", "dbos", "dbos"),
    Case("Restate, the handlers", "restate", "restate", parts.HANDLERS),
    Case("Restate, its server", "restate", "restate", parts.SERVER),
)
REFUSED = {"dbos": "dbos", "dbos-transactions": "dbos", "restate": "restate"}  # by kind, the station


class Processes:
    """What can be killed: the stations of a run, and the parts of its stack. Runs inside `async with`."""

    def __init__(self, stack: Stack, stations: dict[str, StationProcess]) -> None:
        self._stack = stack
        self._stations = stations
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for station in self._stations.values():
            await self._open.enter_async_context(station)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def station(self, name: str) -> StationProcess:
        return self._stations[name]

    async def kill(self, victim: str) -> None:
        if victim in self._stations:
            await self._stations[victim].kill()
        else:
            self._stack.kill(victim)  # which starts it again

    async def start_again(self, victim: str) -> None:
        if victim in self._stations:
            await self._open.enter_async_context(self._stations[victim])
        else:
            await self._stack.ready(victim)


class Book:
    """How far the orders of one case have come, read from the tables of the three steps."""

    def __init__(self, database: asyncpg.Connection, prefix: str) -> None:
        self._database = database
        self._pattern = f"{prefix}%"

    async def read(self) -> tuple[int, int]:
        """Orders with the first effect, and with the last one."""
        begun, done = await self._database.fetchrow(_COUNTS, self._pattern)
        return begun, done

    async def until(self, reached: Callable[[int, int], bool]) -> tuple[int, int]:
        deadline = time.monotonic() + PATIENCE
        while not reached(*(counts := await self.read())):
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"after {PATIENCE:.0f} s {counts[0]} orders are begun and {counts[1]} done")
            await asyncio.sleep(LOOK_EVERY)
        return counts


async def crash(case: Case, processes: Processes, database: asyncpg.Connection) -> str:
    """Raises BenchmarkFailed when an order is lost or was done twice."""
    prefix = f"crash-{case.kind}-{case.victim}/"
    book, station = Book(database, prefix), processes.station(case.station)
    order_ids = [f"{prefix}{number}" for number in range(ORDERS)]
    placing = asyncio.create_task(
        station.tell("place", kind=case.kind, order_ids=order_ids, at_once=AT_ONCE), name=case.name
    )
    await book.until(lambda begun, done: begun >= BEGUN)
    await processes.kill(case.victim)
    begun, done = await book.read()
    killed = time.monotonic()
    await processes.start_again(case.victim)
    trouble = await _trouble(placing)
    _, alone = await book.until(lambda begun, done: begun == done)
    seconds = time.monotonic() - killed
    if trouble:
        await station.tell("place", kind=case.kind, order_ids=order_ids, at_once=AT_ONCE)
    await station.tell("settle")  # checks each order's three effects
    how = f"its client asked again ({trouble[:60]})" if trouble else "its client waited"
    found = f"{begun - done} half done; {alone} done by itself within {seconds:.1f} s; {how}: {ORDERS} done once"
    return f"{case.name}: {found}"


async def refuse(kind: str, station: StationProcess, database: asyncpg.Connection) -> str:
    """The last step of an order fails for good. Raises BenchmarkFailed unless its first two are undone."""
    order_id = f"refused-{kind}"
    await database.execute(_REFUSE)
    trouble = await _trouble(asyncio.create_task(station.tell("place", kind=kind, order_ids=[order_id], at_once=1)))
    if not trouble:
        raise BenchmarkFailed(f"{order_id} was answered as if all were well")
    deadline = time.monotonic() + PATIENCE
    while left := await database.fetchval(_LEFT, order_id):  # a client may give up before the engine does
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{order_id} left {left} effects after {PATIENCE:.0f} s")
        await asyncio.sleep(LOOK_EVERY)
    return f"{kind}: its last step refused, its first two are undone"


async def _trouble(placing: asyncio.Task[Any]) -> str:
    """What the client met: its process is gone, its connection broke, or its order was refused."""
    try:
        await placing
    except BenchmarkFailed as failure:
        return str(failure).splitlines()[0]
    return ""


async def run(options: argparse.Namespace) -> int:
    out = Console()
    installed = await asyncio.to_thread(install, out.print)
    if installed.missing:
        out.print(installed.missing, highlight=False, markup=False)
    ports = parts.RestatePorts.claim()
    with tempfile.TemporaryDirectory(prefix="ordersaga-crash-", ignore_cleanup_errors=True) as folder:
        async with open_stack(Path(folder), installed, ports, synced=True) as stack:
            stations = stations_of(stack, installed, ports, AT_ONCE)
            async with Processes(stack, stations) as processes:
                database = await asyncpg.connect(stack.urls.database_url)
                for case in CASES:
                    if case.station in stations and case.name.startswith(options.only):
                        said = await crash(case, processes, database)
                        out.print(said, highlight=False, markup=False, soft_wrap=True)
                for kind, name in REFUSED.items():
                    if name in stations and kind.startswith(options.only.lower()):
                        out.print(await refuse(kind, processes.station(name), database), highlight=False)
                await database.close()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.crash", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    run_command(run(parser.parse_args()))
