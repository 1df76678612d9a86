"""When a loop looks for work again: soon after work, ever later without any, at once when it is woken."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Pace:
    """The pauses of one loop, in seconds: `shortest` after work, then twice as long each time, up to `longest`."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest, self._longest = min(shortest, longest), longest
        self._next = self._shortest
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Ends the present pause, or leaves out the next one."""
        self._awake.set()

    async def pause(self, *, worked: bool) -> None:
        """`worked` says whether the loop has just found work."""
        if worked:
            self._next = self._shortest
        await self._pause()

    async def pause_once(self) -> None:
        """The shortest pause, whatever the next one will be."""
        following, self._next = self._next, self._shortest
        await self._pause()
        self._next = following

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._next):
                await self._awake.wait()
        self._awake.clear()
        self._next = min(2 * self._next, self._longest)
