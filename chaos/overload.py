"""`make overload`: finds out what the machine can do, offers three times as much, and looks what becomes of it.

`python -m chaos.overload` exits with 0 only if what was taken on was answered in time, as many orders were confirmed
as on the best of days, all others were told to come back, reads and cancels went on, and every book is right.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import uvloop
from rich.console import Console

from benchmarks.processes import CpuMeter, CpuReading
from chaos import overload_report, report
from chaos.auditor import audit, nothing_is_stored_of_what_was_refused
from chaos.books import Books, read_books
from chaos.bystanders import Bystanders
from chaos.journal import Journal
from chaos.load import Shop
from chaos.money_auditor import RULES
from chaos.offered_load import TIMEOUT, Offer, Phase
from chaos.settling import settled
from chaos.wishes import catalogue, customers
from devstack.demo.story import console
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.stack import Stack

NEVER = 1e9  # seconds: no parcel is scanned, so that the orders of one phase do no work in the next
CLIENTS = (5, 10, 20, 40)
WARM_UP, RAMP, PHASE = 5.0, 8.0, 12.0  # seconds
ROUNDS = 3  # of full load and overload, one right after the other: a slow minute of the machine slows both
TIMES = 3.0  # what is offered, of the best that the machine did
SETTLE = 180.0  # seconds

_LAG = """
    SELECT coalesce(extract(epoch FROM percentile_disc(0.99) WITHIN GROUP (ORDER BY processed_at - received_at)), 0)
      FROM webhook_inbox WHERE received_at BETWEEN $1::timestamptz AND $2::timestamptz
"""


Look = Callable[[], Awaitable[Books]]


class Overload:
    """One run on a running stack. `scale` below 1 shortens every phase."""

    def __init__(
        self, stack: Stack, look: Look, offer: Offer, bystanders: Bystanders, out: Console, scale: float
    ) -> None:
        self._look, self._offer, self._bystanders, self._out, self._scale = look, offer, bystanders, out, scale
        self._cpu = CpuMeter({name: [pid] for name, pid in stack.pids.items()})

    async def ramp(self) -> list[Phase]:
        """What the machine can do: so many clients at once, each of which waits as long as it is told to."""
        await self._offer.closed_loop("warm-up", CLIENTS[0], WARM_UP * self._scale)
        return [await self._closed(clients, RAMP) for clients in CLIENTS]

    async def round(self, clients: int) -> tuple[Phase, Phase]:
        """Full load, then three times as many orders, while others look and cancel."""
        full = await self._closed(clients, PHASE)
        async with self._measured() as cpu:
            others = asyncio.create_task(self._bystanders.ask())
            phase = await self._offer.open_loop("overload", TIMES * full.goodput, PHASE * self._scale)
            others.cancel()
            await asyncio.gather(others, return_exceptions=True)
        return full, self._told(phase, cpu())

    async def _closed(self, clients: int, seconds: float) -> Phase:
        async with self._measured() as cpu:
            phase = await self._offer.closed_loop(f"{clients} clients", clients, seconds * self._scale)
        return self._told(phase, cpu())

    @asynccontextmanager
    async def _measured(self) -> AsyncIterator[Callable[[], CpuReading]]:
        """On a stack at rest; what the block took of the CPU."""
        await self._at_rest()
        before = self._cpu.read()
        yield lambda: self._cpu.read().since(before)

    def _told(self, phase: Phase, cpu: CpuReading) -> Phase:
        phase.cpu = cpu
        rate = f"{phase.goodput:.1f} confirmed a second, p99 {phase.p99():.2f} s"
        self._out.print(f"{phase.name}: {rate}, {len(phase.shed)} refused", highlight=False)
        return phase

    async def _at_rest(self) -> None:
        """Labels and captures of the phase before are done: each begins on a machine that has nothing else to do."""
        await settled(self._look, SETTLE)


async def overload(seed: int, out: Console, scale: float = 1.0) -> report.Document:
    """One run on a stack of its own."""
    with tempfile.TemporaryDirectory(prefix="ordersaga-overload-", ignore_cleanup_errors=True) as made:
        folder, journal = Path(made), Path(made) / "journal.jsonl"
        async with Stack(folder, carrier_clock=(NEVER, NEVER), environ=os.environ) as stack:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=2)
            who = Bearer(stack.folder)
            http = httpx.AsyncClient(
                base_url=stack.urls.api, limits=limits, timeout=TIMEOUT, trust_env=False, auth=who
            )
            look = partial(read_books, stack.urls.database_url, folder, journal)
            with Journal(journal) as book:
                shop = Shop(stack.urls.api, stack.urls.stripe, stack.plan.connect, book, who)
                await shop.stock_up(catalogue(0), customers())
                await shop.aclose()
                async with http:
                    offer = Offer(http, book, seed)
                    bystanders = Bystanders(http, offer.confirmed, book)
                    run = Overload(stack, look, offer, bystanders, out, scale)
                    ramp = await run.ramp()
                    best = max(zip(ramp, CLIENTS, strict=True), key=lambda one: one[0].goodput)[1]
                    rounds = [await run.round(best) for _ in range(ROUNDS)]
            lag = await _webhook_lag(stack.urls.database_url, rounds)
            books, waited = await settled(look, SETTLE)
    violations = audit(books, [*RULES, nothing_is_stored_of_what_was_refused])
    return {
        "seed": seed,
        "settling": round(waited, 1),
        "ramp": [overload_report.figures(one) for one in ramp],
        "rounds": [[overload_report.figures(one) for one in pair] for pair in rounds],
        "fullLoadP99": overload_report.p99_of(full for full, _ in rounds),
        "overloadP99": overload_report.p99_of(phase for _, phase in rounds),
        "bystanders": overload_report.bystander_figures(bystanders, lag),
        **report.book_figures(books, violations),
    }


async def _webhook_lag(database_url: str, rounds: Sequence[tuple[Phase, Phase]]) -> float:
    """The worst 99th percentile of the webhooks that came during an overload, in seconds."""
    connection = await asyncpg.connect(database_url, ssl=False, timeout=10)
    try:
        return max([float(await connection.fetchval(_LAG, phase.began, phase.ended)) for _, phase in rounds])
    finally:
        await connection.close()


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.overload", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of every phase's seconds (default: %(default)s)")
    parser.add_argument("--report", type=Path, default=Path("build/overload.json"))
    given = parser.parse_args(arguments)
    out = console()
    out.print(f"Overload, seed {given.seed}: what can this machine do?")
    document = await overload(given.seed, out, given.scale)
    wrong = document["shortcomings"] = overload_report.shortcomings(document)
    report.write(given.report, document)
    overload_report.show(out, document)
    for words in wrong:
        out.print(words, style="red", highlight=False)
    verdict = "[bold red]Wrong[/bold red]" if wrong else "[bold green]All right[/bold green]"
    out.print(f"{verdict}. Written to {given.report}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the load shares the machine with what it measures
    run_command(main(sys.argv[1:]))
