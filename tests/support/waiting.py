"""Waiting for what happens elsewhere, with an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")


async def until(look: Callable[[], Awaitable[Value]], wanted: Value, seconds: float = 60) -> Value:
    """Looks until it sees `wanted`. Raises AssertionError with what it saw last.

    Each look costs the servers a query, of which long waits make many: later ones are further apart.
    """
    end = time.monotonic() + seconds
    pause = 0.01
    while (seen := await look()) != wanted:
        assert time.monotonic() < end, f"still {seen!r}, not {wanted!r}, after {seconds} s"
        await asyncio.sleep(pause)
        pause = min(1.2 * pause, 0.05)
    return seen
