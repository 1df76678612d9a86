"""Starts the workflows of refunds that have none: a crash came between the request and the start."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.settings import Settings
from engine.refunds import start_refund
from services.refunds.claims import claim_unsettled

BATCH = 100  # refunds that one sweep takes
LEFT_ALONE = timedelta(minutes=1)  # a refund that somebody saw to is not taken by others for this long


class RefundSweep:
    """Sees to it that every refund that is not settled has its workflow."""

    def __init__(self, writes: AsyncEngine, temporal: Client, settings: Settings) -> None:
        """`writes` commits each statement by itself."""
        self._writes, self._temporal, self._settings = writes, temporal, settings

    async def sweep(self, left_alone: timedelta = LEFT_ALONE) -> int:
        """How many refunds it took. Raises what the database or Temporal raises."""
        unsettled = await claim_unsettled(self._writes, left_alone, BATCH)
        for refund, amount, customer_id in unsettled:
            await start_refund(self._temporal, self._settings, refund, amount, customer_id)
        return len(unsettled)
