"""Orders that somebody outside names by their ids: what does not exist is an answer there, not a bug of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from domain.errors import NotFound
from domain.identities import EVERYTHING, Visible
from services.orders.book import LockedOrder, OrderBook


def no_such_order() -> NotFound:
    """The refusal of an order's id that is not known."""
    return NotFound("no_such_order", "there is no order of this id")


@asynccontextmanager
async def named_order(book: OrderBook, order_id: str, visible: Visible = EVERYTHING) -> AsyncIterator[LockedOrder]:
    """The order under its row's lock, as `OrderBook.locked` opens it.

    Raises NotFound where there is none, or none that is to be seen.
    """
    async with AsyncExitStack() as stack:
        try:
            order = await stack.enter_async_context(book.locked(order_id))
        except LookupError:
            raise no_such_order() from None
        if not visible.shows(order.row.customer_id):
            raise no_such_order()
        yield order
