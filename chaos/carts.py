"""`python -m chaos.carts`: carts in use while prices and stock change and the API is killed; then an audit.

2,000 open carts, 40 clients, a minute, two kills unless told otherwise; it exits with 0 only if nothing is wrong.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from chaos import report
from chaos.auditor import audit, stock_is_what_was_there_less_what_left
from chaos.books import Books, read_books
from chaos.cart_auditor import CART_RULES
from chaos.cart_load import CartShop
from chaos.faults import kill
from chaos.journal import Journal
from chaos.money_auditor import RULES
from chaos.settling import settled
from devstack.demo.story import console
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.stack import Stack

MANY_DECLINES = {"ORDERSAGA_LIMIT_DECLINES": "1000/s"}  # a customer has more carts than anybody has
NEVER = 1e9  # seconds: no parcel is scanned
SETTLE = 240.0  # seconds
AUDITED = [rule for rule in RULES if rule is not stock_is_what_was_there_less_what_left]
"""The stock is set anew all the time: what was there at the beginning says nothing."""


async def carts(seed: int, count: int, clients: int, seconds: float, kills: int) -> report.Document:
    """One run on a stack of its own."""
    with tempfile.TemporaryDirectory(prefix="ordersaga-carts-", ignore_cleanup_errors=True) as made:
        folder, journal = Path(made), Path(made) / "journal.jsonl"
        async with Stack(folder, carrier_clock=(NEVER, NEVER), environ=os.environ | MANY_DECLINES) as stack:
            look = partial(read_books, stack.urls.database_url, folder, journal)
            with Journal(journal) as book:
                shop = CartShop(stack.urls.api, stack.urls.stripe, stack.plan.connect, book, Bearer(stack.folder))
                try:
                    await _suffer(stack, shop, seed, (count, clients, seconds, kills))
                    books, waited = await settled(look, SETTLE)
                finally:
                    await shop.aclose()
    violations = audit(books, [*AUDITED, *CART_RULES])
    return {
        "seed": seed,
        "settling": round(waited, 1),
        "repeatedRequests": shop.repeats,
        "clientsThatGaveUp": shop.gave_up,
        "answers": dict(sorted(shop.told.items())),
        "seconds": {kind: _spread(all_) for kind, all_ in sorted(shop.seconds.items())},
        "carts": _states(books),
        **report.book_figures(books, violations),
    }


async def _suffer(stack: Stack, shop: CartShop, seed: int, plan: tuple[int, int, float, int]) -> None:
    count, clients, seconds, kills = plan
    owners = await shop.open_carts(seed, count, clients)
    shop.seconds.clear()
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number, own in enumerate(owners):
            group.create_task(shop.play(own, until, seed + number))
        group.create_task(shop.keep_shop(until, seed))
        for number in range(kills):
            group.create_task(_kill(stack, seconds * (number + 1) / (kills + 1)))


async def _kill(stack: Stack, after: float) -> None:
    await asyncio.sleep(after)
    kill(stack, "api")


def _spread(all_: list[float]) -> dict[str, float]:
    ranked = sorted(all_)
    return {
        "count": len(ranked),
        "p50": round(ranked[len(ranked) // 2], 4),
        "p99": round(ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)], 4),
    }


def _states(books: Books) -> dict[str, int]:
    states = [cart["state"] for cart in books.carts]
    return {state: states.count(state) for state in sorted(set(states))}


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.carts", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--carts", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=2, help="of the API")
    parser.add_argument("--report", type=Path, default=Path("build/carts.json"))
    given = parser.parse_args(sys.argv[1:])
    document: dict[str, Any] = await carts(given.seed, given.carts, given.clients, given.seconds, given.kills)
    report.write(given.report, document)
    wrong = document["violations"] or document["clientsThatGaveUp"]
    out = console()
    for name in ("answers", "seconds", "carts", "outcomes", "violations"):
        out.print(f"{name}: {document[name]}", markup=False, highlight=False)
    out.print(f"{'Wrong' if wrong else 'All right'}. Written to {given.report}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_command(main())
