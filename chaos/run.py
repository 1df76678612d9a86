"""`make chaos`: a load of mixed orders while everything fails in turn; then the auditor reads the books.

`python -m chaos.run --seed N --orders 1000 --faults 102` exits with 0 only if nothing is wrong and all has settled.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvloop

from chaos import desk, report
from chaos.auditor import FINAL, audit, unfinished
from chaos.books import Books, read_books
from chaos.circumstances import SETTINGS, told
from chaos.dashboard import Hand
from chaos.event_auditor import EVENT_RULES
from chaos.event_books import delivered, with_events
from chaos.faults import Happened, Injector, schedule
from chaos.journal import Journal
from chaos.links import Links
from chaos.listeners import Listeners
from chaos.load import Shop
from chaos.long_faults import LongInjector, long_schedule
from chaos.money_auditor import RULES
from chaos.settling import settled
from chaos.wishes import catalogue, customers, wishes
from devstack.demo.story import console
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.parts import Blueprint
from devstack.stack.process import Part
from devstack.stack.stack import Stack

CARRIER_CLOCK = (3.0, 7.0)  # seconds from the label to the first scan, and to the delivery
SETTLE = 240.0  # seconds
TOLD_EVERY = 5.0  # seconds
KEPT_LOGS = (
    *("api.log", "worker.log", "worker-2.log", "relay.log", "relay-2.log", "nats.log"),
    *("temporal.log", "stripe.log", "carrier.log"),
)


@dataclass(frozen=True)
class Plan:
    seed: int
    orders: int
    faults: int
    settle: float = SETTLE


def _operations(stack: Stack) -> httpx.AsyncClient:
    """The API, as those at the repair desk ask it."""
    who = Bearer.of_operations(stack.folder, "chaos")
    return httpx.AsyncClient(base_url=stack.urls.api, timeout=20, trust_env=False, auth=who)


def _customers(stack: Stack, links: Links, journal: Journal) -> tuple[Listeners, Shop]:
    """What places the orders, and the pages that follow them, behind the links that fail."""
    who = Bearer(stack.folder)
    listeners = Listeners(links.shop_url, journal, who)
    urls = (links.shop_url, stack.urls.stripe)
    return listeners, Shop(*urls, stack.plan.connect, journal, who, listeners.follow)


class Chaos:
    """One run in one folder."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        self._journal = folder / "journal.jsonl"
        self._out = console()
        self._began = time.monotonic()

    async def run(self) -> report.Document:
        """Brings the stack up, lets it suffer, waits until it has settled, and reads the books."""
        plan = self._plan
        self._say(f"seed {plan.seed}: {plan.orders} orders, {plan.faults} faults; starting the stack ...")
        stack_folder = self._folder / "stack"
        async with (
            Links() as links,
            Stack(
                stack_folder, carrier_clock=CARRIER_CLOCK, environ=os.environ, tailor=partial(_tailored, links)
            ) as stack,
            httpx.AsyncClient(base_url=stack.urls.stripe, timeout=10, trust_env=False) as stripe,
            _operations(stack) as api,
        ):
            look = partial(read_books, stack.urls.database_url, stack_folder, self._journal)
            injector = Injector(stack, links, self._tell_fault)
            long = LongInjector(stack, links, injector.happened, self._tell_fault)
            with Journal(self._journal) as journal:
                who = Bearer(stack.folder)
                listeners = Listeners(links.shop_url, journal, who)
                shop = Shop(links.shop_url, stack.urls.stripe, stack.plan.connect, journal, who, listeners.follow)
                hand = Hand(stripe, stack.secrets.stripe_api_key, journal, plan.seed)
                async with _while(hand.run()):
                    await self._suffer(shop, injector, long)
                seconds = time.monotonic() - self._began
                self._say("the faults are over; waiting until everything has settled ...")
                async with _while(desk.work(api)):
                    books, waited = await settled(look, plan.settle, self._say, unfinished)
                self._say(f"settled after {waited:.1f} s; waiting for consumers and listeners ...")
                following = partial(listeners.still_following, _over(books))
                late = await delivered(stack.urls.database_url, plan.settle, following)
                await listeners.aclose()
                await shop.aclose()
            self._say(f"all events were delivered after {late:.1f} s; reading the books ...")
            books = await with_events(await look(), stack.urls.database_url, stack.urls.nats, stack_folder)
        return self._document(injector.happened, books, shop) | {
            "actsAtTheDashboard": hand.acts,
            "lostTails": long.lost,
            "listeners": {"pages": listeners.count, "streams": listeners.streams},
            "seconds": {"load": round(seconds, 1), "settling": round(waited, 1), "delivering": round(late, 1)},
        }

    async def _suffer(self, shop: Shop, injector: Injector, long: LongInjector) -> None:
        plan = self._plan
        await shop.stock_up(catalogue(plan.orders), customers())
        faults = schedule(plan.seed, plan.faults)
        lasts = faults[-1].at if faults else 5.0
        load = asyncio.create_task(shop.run(wishes(plan.seed, plan.orders, lasts)))
        telling = asyncio.create_task(self._tell_load(shop))
        try:
            await asyncio.gather(load, injector.run(faults), long.run(long_schedule(plan.seed, lasts), plan.seed))
        finally:
            telling.cancel()
            load.cancel()

    def _document(self, happened: list[Happened], books: Books, shop: Shop) -> report.Document:
        return {
            "seed": self._plan.seed,
            "answers": dict(sorted(shop.answers.items())),
            "repeatedRequests": shop.repeats,
            "clientsThatGaveUp": shop.gave_up,
            "faults": report.fault_figures(happened, books),
            "events": report.event_figures(books),
            **report.book_figures(books, audit(books, (*RULES, *EVENT_RULES))),
        }

    def _tell_fault(self, happened: Happened) -> None:
        fault = happened.fault
        lasts = f" for {fault.seconds:.1f} s" if fault.seconds else ""
        self._say(f"{fault.kind} {fault.target}{lasts}")

    async def _tell_load(self, shop: Shop) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            self._say(f"{shop.answers.total()} orders answered, {shop.repeats} requests repeated")

    def _say(self, words: str) -> None:
        self._out.print(f"{time.monotonic() - self._began:6.1f} s  {words}", markup=False, highlight=False)


def _over(books: Books) -> set[str]:
    return {order_id for order_id, status in books.statuses.items() if status in FINAL}


def _tailored(links: Links, plan: Blueprint, parts: list[Part]) -> list[Part]:
    return told(links.with_second_relay(plan, links.rewire(plan, parts)), SETTINGS)


@asynccontextmanager
async def _while(course: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs it beside the block, and ends it with the block."""
    task = asyncio.create_task(course)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def chaos(plan: Plan, where: Path, keep: Path | None = None, *, always: bool = False) -> report.Document:
    """A run in a folder of its own; the journal and logs of one that went wrong, or of any, are left in `keep`."""
    with tempfile.TemporaryDirectory(prefix="ordersaga-chaos-", ignore_cleanup_errors=True) as folder:
        document = await Chaos(plan, Path(folder)).run()
        report.write(where, document)
        if keep is not None and (always or failed(document)):
            await asyncio.to_thread(_keep, Path(folder), keep)
    return document


def failed(document: report.Document) -> bool:
    """Whether anything is wrong, or left with nobody to look after it."""
    return bool(document["violations"]) or bool(document["unsettled"].keys() - document["attended"].keys())


def _keep(folder: Path, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    for path in (folder / "journal.jsonl", *(folder / "stack" / "logs" / name for name in KEPT_LOGS)):
        if path.exists():
            (keep / path.name).write_bytes(path.read_bytes())


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=102)
    parser.add_argument("--settle", type=float, default=SETTLE, help="seconds (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="journal and logs also of a run that went well")
    parser.add_argument("--report", type=Path, help="default: build/chaos-SEED.json")
    given = parser.parse_args(sys.argv[1:])
    where = given.report or Path(f"build/chaos-{given.seed}.json")
    plan = Plan(given.seed, given.orders, given.faults, given.settle)
    document = await chaos(plan, where, where.with_suffix(""), always=given.keep)
    out = console()
    report.show(out, document)
    verdict = "[bold red]Wrong[/bold red]" if failed(document) else "[bold green]All right[/bold green]"
    took = document["seconds"]
    out.print(f"{verdict}: {took['load']} s of load, {took['settling']} s to settle. Written to {where}.")
    return 1 if failed(document) else 0


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the proxies pass on every byte of the stack
    run_command(main())
