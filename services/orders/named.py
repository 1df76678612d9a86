"""Orders that somebody outside names by their ids: what does not exist is an answer there, not a bug of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from domain.errors import NotFound
from services.orders.book import LockedOrder, OrderBook


def no_such_order() -> NotFound:
    """The refusal of an order's id that is not known."""
    return NotFound("no_such_order", "there is no order of this id")


@asynccontextmanager
async def named_order(book: OrderBook, order_id: str) -> AsyncIterator[LockedOrder]:
    """The order under its row's lock, as `OrderBook.locked` opens it. Raises NotFound where there is none."""
    async with AsyncExitStack() as stack:
        try:
            order = await stack.enter_async_context(book.locked(order_id))
        except LookupError:
            raise no_such_order() from None
        yield order
