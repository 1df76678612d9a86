"""The wait that customers feel: `python -m benchmarks.latency`, the far ends as slow as real ones.

Both simulators hold each call up for a time of a heavy-tailed distribution (`devstack/simulators/call_times.py`).
What `POST /api/orders` takes is told as multiples of Stripe's call, and by what it is made of.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import psutil
from rich.console import Console

from benchmarks.far_ends import FarEnd
from benchmarks.latency_figures import AIM, OrderTimes, Wait
from benchmarks.load import drive
from benchmarks.options import positive, positive_each
from benchmarks.report import markdown_table
from benchmarks.service import PARCELS_STAY, Service, open_service
from devstack.simulators.call_times import CallTimes
from devstack.stack.interruption import run_command
from devstack.stack.progress import Progress
from devstack.stack.stack import Stack

WARM_UP = 20  # orders, at once
ALONE = 3  # with one order at once, one in so many of the orders is placed
HEADINGS = ("", "at once", "p50 ms", "p99 ms", "p50 / call", "p99 / call", "p50 / mean", "p99 / mean", "aim", "met")
REACHED = ("PLACED", "RESERVED", "CONFIRMED", "READY_TO_SHIP")
_TIMES = "SELECT to_status, at FROM timeline WHERE order_id = $1 AND to_status = ANY ($2) ORDER BY at DESC"


class Bench:
    """Places orders on a running stack whose far ends are slow."""

    def __init__(
        self, service: Service, stripe: FarEnd, carrier: FarEnd, database: asyncpg.Pool, times: tuple[CallTimes, ...]
    ) -> None:
        self._service, self._stripe, self._carrier, self._database = service, stripe, carrier, database
        self._times = times

    async def warm_up(self) -> None:
        await self._service.prepare()
        shift = await drive(self._service.place, [f"warm-up-{number}" for number in range(WARM_UP)], WARM_UP)
        await self._service.settle(shift)

    async def measure(self, orders: int, at_once: int) -> Wait:
        for far_end, times in zip((self._stripe, self._carrier), self._times, strict=True):
            await far_end.take(replace(times, seed=times.seed + at_once))
        asked: dict[str, tuple[float, float]] = {}

        async def place(name: str) -> str:
            began = time.time()
            order_id = await self._service.place(name)
            asked[order_id] = (began, time.time())
            return order_id

        psutil.cpu_percent()
        shift = await drive(place, [f"order-{at_once}-{number}" for number in range(orders)], at_once)
        busy = psutil.cpu_percent() / 100
        shipped, _ = await self._service.settle(shift)
        stripe, carrier = await self._stripe.journal(), await self._carrier.journal()
        found = [await self._times_of(key, *asked[key], stripe.before_the_answer(key)) for key in shift.keys]
        captures = sum(call.seconds for call in stripe.calls if call.operation == "payment_intents.capture")
        return Wait(
            at_once,
            found,
            call=self._times[0].median_seconds,
            drawn=stripe.seconds,
            carrier=(sum(carrier.seconds) + captures) / orders,
            busy=busy,
            refused=shipped.refused,
            connections=stripe.connections,
        )

    async def _times_of(self, order_id: str, asked: float, answered: float, stripe: list[float]) -> OrderTimes:
        rows = await self._database.fetch(_TIMES, order_id, REACHED)
        at = {row["to_status"]: row["at"].timestamp() for row in rows}  # of several rows of a status the first one
        placed, reserved, confirmed, ready = (at[status] for status in REACHED)
        return OrderTimes(asked, answered, placed, reserved, confirmed, ready, stripe)


def rows(wait: Wait) -> list[list[str]]:
    """In milliseconds and in calls to Stripe: of the simulated median, and of the mean that was drawn."""
    shown = [("the answer", wait.answer, f"{AIM:g}", "yes" if wait.met else "no")]
    shown += [
        ("its two calls alone", wait.calls_alone, "", ""),
        ("what we add", wait.beyond, "", ""),
        ("ready to ship", wait.ready, "", ""),
    ]
    lines = []
    for name, at, aim, met in shown:
        both = (at(50), at(99))
        multiples = [f"{seconds / unit:.2f}" for unit in (wait.call, wait.mean_call) for seconds in both]
        lines.append([name, str(wait.at_once), *(f"{1000 * seconds:.0f}" for seconds in both), *multiples, aim, met])
    return lines


def remarks(wait: Wait) -> list[str]:
    parts = "; ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in wait.breakdown().items())
    return [
        f"{wait.at_once} at once, the answer in ms, mean: {parts}. From CONFIRMED to ready to ship, without the far "
        f"ends' calls: {1000 * wait.after_confirmed:.0f}.",
        f"The machine was {wait.busy:.0%} busy; {wait.refused} times a checkout was put off (503); {wait.repeated} "
        f"orders sent a call of their checkout again; {len(wait.drawn)} calls to Stripe over {wait.connections} "
        f"connections, mean {1000 * wait.mean_call:.0f} ms.",
    ]


async def bench(given: argparse.Namespace) -> int:
    out = Console()
    times = (
        CallTimes(given.stripe_ms / 1000, given.stripe_ms / 1000 * given.tail, given.seed),
        CallTimes(given.carrier_ms / 1000, given.carrier_ms / 1000 * given.tail, given.seed + 1000),
    )
    for name, one in zip(("Stripe", "carrier"), times, strict=True):
        out.print(
            f"{name}: lognormal, median {1000 * one.median_seconds:.0f} ms, p99 {1000 * one.p99_seconds:.0f} ms, "
            f"seed {one.seed}",
            highlight=False,
        )
    observe = Progress()
    async with AsyncExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="ordersaga-latency-"))
        stack = Stack(Path(folder), carrier_clock=PARCELS_STAY, environ=os.environ, observe=observe)
        await running.enter_async_context(stack)
        http = await running.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
        url = stack.environment["DATABASE_URL"]
        service = await running.enter_async_context(
            open_service(stack.urls.api, url, max(given.concurrency), stack.folder)
        )
        database = await running.enter_async_context(asyncpg.create_pool(url, min_size=1, max_size=2))
        far_ends = FarEnd(http, stack.urls.stripe), FarEnd(http, stack.urls.carrier)
        latency = Bench(service, *far_ends, database, times)
        await latency.warm_up()
        waits = [
            await latency.measure(given.orders if at_once > 1 else given.orders // ALONE, at_once)
            for at_once in given.concurrency
        ]
        observe.stopping()
    lines = [line for wait in waits for line in rows(wait)]
    out.print(markdown_table(HEADINGS, lines), markup=False, highlight=False, soft_wrap=True)
    for wait in waits:
        for remark in remarks(wait):
            out.print(remark, highlight=False, soft_wrap=True)
    return 0


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--orders", type=positive, default=120, help="of a load; alone a third (default 120)")
    parser.add_argument("--concurrency", type=positive_each, default=(1, 20), help="with commas (default 1,20)")
    parser.add_argument("--stripe-ms", type=positive, default=350, help="the median of a call (default 350)")
    parser.add_argument("--carrier-ms", type=positive, default=900, help="likewise (default 900)")
    parser.add_argument("--tail", type=positive, default=4, help="the p99, in medians (default 4)")
    parser.add_argument("--seed", type=int, default=1, help="of the times that are drawn")
    return parser.parse_args(words)


if __name__ == "__main__":
    run_command(bench(options_of()))
