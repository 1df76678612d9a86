"""Keeps the inbox from growing for ever: events that were followed up long ago leave, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

BATCH = 500  # events that leave in one statement, which takes milliseconds
REST = 0.1  # seconds between two batches, for everybody else

Pruned = Callable[[int], None]
"""Told how many events have left."""


class Prunable(Protocol):
    async def prune(self, most: int) -> int:
        """Deletes at most `most` events; how many."""
        ...


def _unheard(events: int) -> None: ...


class InboxPruning:
    """Several relays share the work. One that dies has deleted whole batches or nothing; the next one goes on."""

    def __init__(self, old: Prunable, pruned: Pruned = _unheard, rest: float = REST) -> None:
        """`rest`: seconds between two batches."""
        self._old, self._pruned, self._rest = old, pruned, rest

    async def prune(self) -> int:
        """Batch after batch until none is full; how many events have left. Raises what the database raises."""
        left = 0
        while True:
            batch = await self._old.prune(BATCH)
            left += batch
            if batch:
                self._pruned(batch)
            if batch < BATCH:
                return left
            await asyncio.sleep(self._rest)
