"""Waits, with an end, until a stack has settled by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg

from chaos.auditor import unsettled
from chaos.books import Books

LOOK_EVERY = 2.0  # seconds


async def settled(
    look: Callable[[], Awaitable[Books]],
    patience: float,
    tell: Callable[[str], None] = lambda _: None,
    left: Callable[[Books], set[str]] = unsettled,
    every: float = LOOK_EVERY,
) -> tuple[Books, float]:
    """The books, and the seconds it took: once no order is `left` and every webhook is through, or patience ends.

    A second look must find nothing new: an order that a signal has just canceled looks settled at first.
    """
    began, told, seen = time.monotonic(), "", dict[str, int]()
    while True:
        try:
            books = await look()
        except (OSError, asyncpg.PostgresError):  # just killed
            await asyncio.sleep(every)
            continue
        waiting, seconds = left(books), time.monotonic() - began
        before, seen = seen, {order["order_id"]: order["version"] for order in books.orders}
        if (not waiting and not books.inbox and seen == before) or seconds > patience:
            return books, seconds
        now = f"{len(waiting)} orders to settle, {len(books.inbox)} webhooks, {len(books.tickets)} tickets"
        if now != told:
            tell(now)
        told = now
        await asyncio.sleep(every)
