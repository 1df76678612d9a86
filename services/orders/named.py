"""Orders that somebody outside names by their ids: what does not exist is an answer there, not a bug of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.postgres.database import Sessions
from domain.errors import NotFound
from services.orders.book import LockedOrder, lock_order


def no_such_order() -> NotFound:
    """The refusal of an order's id that is not known."""
    return NotFound("no_such_order", "there is no order of this id")


@asynccontextmanager
async def named_order(sessions: Sessions, order_id: str) -> AsyncIterator[LockedOrder]:
    """The order under its row's lock, as `OrderBook.locked` opens it. Raises NotFound where there is none."""
    async with sessions() as session, session.begin():
        try:
            order = await lock_order(await session.connection(), order_id, session)
        except LookupError:
            raise no_such_order() from None
        yield order
        await order.write()
