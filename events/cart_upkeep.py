"""What time does to carts, a few at a time: those left are told, those whose time is over expire, old ones leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

BATCH = 200  # carts in one transaction, which takes a moment
REST = 0.1  # seconds between two batches, for everybody else

Step = Callable[[int], Awaitable[int]]
"""Does at most so many; how many it did."""


class OldCarts(Protocol):
    async def tell_abandoned(self, most: int) -> int: ...
    async def expire(self, most: int) -> int: ...
    async def delete_ended(self, most: int) -> int: ...
    async def forget_keys(self, most: int) -> int: ...


class CartUpkeep:
    """Several relays share the work. One that dies has done whole batches or nothing; the next one goes on."""

    def __init__(self, carts: OldCarts, rest: float = REST) -> None:
        """`rest`: seconds between two batches."""
        self._carts, self._rest = carts, rest

    async def keep(self) -> int:
        """Batch after batch until none is full; about how many rows were changed. Raises what the database raises."""
        carts = self._carts
        steps = (carts.tell_abandoned, carts.expire, carts.delete_ended, carts.forget_keys)
        return sum([await self._all(step) for step in steps])

    async def _all(self, step: Step) -> int:
        done = 0
        while True:
            batch = await step(BATCH)
            done += batch
            if batch < BATCH:
                return done
            await asyncio.sleep(self._rest)
