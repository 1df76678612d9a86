"""Sees to personal data while the relay runs: seals old rows, wraps keys anew, forgets what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

LOOK_EVERY = 60.0  # seconds
PAUSE = 0.2  # seconds between two batches, so that orders come first

log = structlog.get_logger()

Work = Callable[[], Awaitable[int]]
"""Does a batch; how many rows it has changed."""


async def keep_up_forever(works: list[Work], every: float = LOOK_EVERY) -> None:
    """A database that is away, or a key that is not there, is asked again the next time."""
    while True:
        done = 0
        for work in works:
            try:
                done += await work()
            except Exception as error:
                log.warning("privacy_upkeep_failed", error=type(error).__name__)
        await asyncio.sleep(PAUSE if done else every)
