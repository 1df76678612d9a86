"""An answer that does not come because of a fault of ours: the order's row says so long before the budget is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from services.tickets.our_faults import is_waiting

LOOK_EVERY = 1.0  # seconds: most answers come long before the first look

Answer = TypeVar("Answer")


class HeldUp(Exception):
    """The order waits for a fault of ours to be mended."""


async def unless_held_up(reads: AsyncEngine, order_id: str, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """Awaits the answer. Raises HeldUp when the order's row says that none will come soon."""
    asked = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait({asked}, timeout=LOOK_EVERY))[0]:
            if await is_waiting(reads, order_id):
                raise HeldUp
        return asked.result()
    finally:
        asked.cancel()  # nothing, where it has ended
        await asyncio.gather(asked, return_exceptions=True)
