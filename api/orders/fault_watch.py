"""An answer that does not come because of a fault of ours: the order's row says so long before the budget is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.tables import Order

LOOK_EVERY = 1.0  # seconds: most answers come long before the first look

Answer = TypeVar("Answer")

_orders = Order.__table__  # type: ignore[attr-defined]
_WAITS_FOR = select(_orders.c.waits_for).where(_orders.c.order_id == bindparam("order_id"))


class HeldUp(Exception):
    """The order waits for a fault of ours to be mended."""


async def unless_held_up(reads: AsyncEngine, order_id: str, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """Awaits the answer. Raises HeldUp when the order's row says that none will come soon."""
    asked = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait({asked}, timeout=LOOK_EVERY))[0]:
            async with reads.connect() as connection:
                if (await connection.execute(_WAITS_FOR, {"order_id": order_id})).scalar_one_or_none() is not None:
                    raise HeldUp
        return asked.result()
    finally:
        asked.cancel()  # nothing, where it has ended
        await asyncio.gather(asked, return_exceptions=True)
