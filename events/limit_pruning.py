"""Deletes buckets of limits that are full again while the relay runs: without their rows they are full as well."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.limits.buckets import forget_full

EVERY = 60.0  # seconds
BATCH = 1000  # rows

log = structlog.get_logger()


async def forget_full_forever(each_alone: AsyncEngine, every: float = EVERY) -> None:
    """A database that is away is asked again the next time."""
    while True:
        try:
            while await forget_full(each_alone, BATCH) == BATCH:
                pass
        except Exception as error:
            log.warning("limits_not_pruned", error=type(error).__name__)
        await asyncio.sleep(every)
