"""Waiting for what happens elsewhere, with an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")


async def until(look: Callable[[], Awaitable[Value]], wanted: Value, seconds: float = 60) -> Value:
    """Looks until it sees `wanted`. Raises AssertionError with what it saw last."""
    end = time.monotonic() + seconds
    while (seen := await look()) != wanted:
        assert time.monotonic() < end, f"still {seen!r}, not {wanted!r}, after {seconds} s"
        await asyncio.sleep(0.02)
    return seen
