"""Seals the audit while the relay runs, so that no request waits for the entry before its own."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.audit.audit import BATCH, seal

SEAL_EVERY = 60.0  # seconds

log = structlog.get_logger()


async def seal_forever(each_alone: AsyncEngine, every: float = SEAL_EVERY) -> None:
    """A database that is away is asked again the next time."""
    while True:
        try:
            while await seal(each_alone) == BATCH:
                pass
        except Exception as error:
            log.warning("audit_not_sealed", error=type(error).__name__)
        await asyncio.sleep(every)
