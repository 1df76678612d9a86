"""The payment storm: orders while Stripe has its bad days and workers die; then every book is compared to the penny.

`python -m chaos.storm --seed N --orders 500` exits with 0 only if nothing is wrong and every order has settled.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import httpx
import uvloop

from chaos import report
from chaos.auditor import audit, undecided
from chaos.books import read_books
from chaos.circumstances import SETTINGS, told
from chaos.faults import Injector, worker_kills
from chaos.journal import Journal
from chaos.links import Links
from chaos.load import Shop
from chaos.money_auditor import RULES
from chaos.run import SETTLE, failed
from chaos.settling import settled
from chaos.wishes import MIX, Course, catalogue, customers, wishes
from devstack.demo.story import console
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.parts import Blueprint
from devstack.stack.process import Part
from devstack.stack.stack import Stack

RATE = 8.0  # orders a second
NEVER = 1e9  # seconds: no parcel is scanned, so that what was captured can still be taken back
STRIPE_TIMEOUT = 1.0  # seconds; the slow answers take longer
RATES = {
    "before_effect": 0.04,
    "after_effect_drop": 0.05,
    "error_500_saved": 0.04,
    "error_500_unsaved": 0.04,
    "rate_limit_429": 0.04,
    "slow": 0.04,
    "connection_reset": 0.04,
    "truncated_body": 0.04,
}
"""The chance of each fault at every request to Stripe."""

WEBHOOKS = {"duplicate": 0.2, "reorder": 0.3, "lose": 0.1, "delay_seconds": 0.05}
QUICK_MIX: dict[Course, int] = {
    course: share for course, share in MIX.items() if course not in (Course.AUTHENTICATES, Course.ABANDONS)
}
"""Without what takes a customer's patience, also where a webhook is lost: until then nobody asks Stripe."""


async def storm(seed: int, orders: int, *, quick: bool = False, settle: float = SETTLE) -> report.Document:
    """One storm on a stack of its own."""
    with tempfile.TemporaryDirectory(prefix="ordersaga-storm-", ignore_cleanup_errors=True) as made:
        folder, journal = Path(made), Path(made) / "journal.jsonl"
        async with (
            Links() as links,
            Stack(
                folder, carrier_clock=(NEVER, NEVER), environ=os.environ, tailor=partial(_tailored, links)
            ) as stack,
            httpx.AsyncClient(base_url=stack.urls.stripe, timeout=10, trust_env=False) as stripe,
        ):
            began, injector = time.monotonic(), Injector(stack, links)
            with Journal(journal) as book:
                shop = Shop(links.shop_url, stack.urls.stripe, stack.plan.connect, book, Bearer(stack.folder))
                await shop.stock_up(catalogue(orders), customers())
                shown = await _blow(stripe, shop, injector, seed, orders, quick=quick)
                seconds = time.monotonic() - began
                look = partial(read_books, stack.urls.database_url, folder, journal)
                books, waited = await settled(look, settle, left=undecided)
                await shop.aclose()
    return {
        "seed": seed,
        "answers": dict(sorted(shop.answers.items())),
        "repeatedRequests": shop.repeats,
        "clientsThatGaveUp": shop.gave_up,
        "seconds": {"load": round(seconds, 1), "settling": round(waited, 1)},
        "faults": report.fault_figures(injector.happened, books),
        "stripeFaults": shown,
        **report.book_figures(books, audit(books, RULES)),
    }


def _tailored(links: Links, plan: Blueprint, parts: list[Part]) -> list[Part]:
    """A client that gives up before a slow answer comes."""
    return told(links.rewire(plan, parts), {**SETTINGS, "ORDERSAGA_STRIPE_TIMEOUT": str(STRIPE_TIMEOUT)})


async def _blow(
    stripe: httpx.AsyncClient, shop: Shop, injector: Injector, seed: int, orders: int, *, quick: bool
) -> dict[str, int]:
    """Orders and kills under the mix; how often each fault was shown.

    The mix ends after the kills, once each second order has met a fault on average: a slow machine sends most of its
    calls to Stripe only then.
    """
    seconds = orders / RATE
    mix = {"seed": seed, "rates": RATES, "delay_seconds": 1.5 * STRIPE_TIMEOUT}
    (await stripe.post("/_control/fault_mix", json=mix)).raise_for_status()
    (await stripe.post("/_control/webhooks", json={**WEBHOOKS, "seed": seed})).raise_for_status()
    load = wishes(seed, orders, seconds, QUICK_MIX if quick else MIX)
    shopping = asyncio.create_task(shop.run(load))
    await injector.run(worker_kills(seed, seconds))
    shown = await _shown(stripe)
    while sum(shown.values()) < orders / 2 and not shopping.done():
        await asyncio.sleep(1)
        shown = await _shown(stripe)
    (await stripe.delete("/_control/faults")).raise_for_status()
    (await stripe.post("/_control/webhooks", json={})).raise_for_status()
    await shopping
    return shown


async def _shown(stripe: httpx.AsyncClient) -> dict[str, int]:
    """How often each fault was shown so far."""
    shown: dict[str, int] = (await stripe.get("/_control/faults")).raise_for_status().json()["shown"]
    return shown


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--report", type=Path, help="default: build/storm-SEED.json")
    given = parser.parse_args(arguments)
    out = console()
    out.print(f"The payment storm, seed {given.seed}: {given.orders} orders ...")
    document = await storm(given.seed, given.orders)
    where = given.report or Path(f"build/storm-{given.seed}.json")
    report.write(where, document)
    report.show(out, document)
    verdict = "[bold red]Wrong[/bold red]" if failed(document) else "[bold green]All right[/bold green]"
    took = document["seconds"]
    out.print(f"{verdict}: {took['load']} s of load, {took['settling']} s to settle. Written to {where}.")
    return 1 if failed(document) else 0


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the proxies pass on every byte of the stack
    run_command(main(sys.argv[1:]))
