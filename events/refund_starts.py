"""Starts the workflows of refunds that have none: a crash came between the request and the start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.clock import now
from adapters.settings import Settings
from domain.money import Money
from domain.refunds import UNSETTLED, GiveRefund
from engine.refunds import start_refund
from services.orders.tables import Order
from services.refunds.tables import Refund

BATCH = 100  # refunds that one sweep takes
LEFT_ALONE = timedelta(minutes=1)  # a refund that somebody saw to is not taken by others for this long

orders = Order.__table__  # type: ignore[attr-defined]
refunds = Refund.__table__  # type: ignore[attr-defined]
log = structlog.get_logger()


class RefundSweep:
    """Sees to it that every refund that is not settled has its workflow."""

    def __init__(self, writes: AsyncEngine, temporal: Client, settings: Settings) -> None:
        """`writes` commits each statement by itself."""
        self._writes, self._temporal, self._settings = writes, temporal, settings

    async def sweep(self, left_alone: timedelta = LEFT_ALONE) -> int:
        """How many refunds it took."""
        async with self._writes.connect() as connection:
            rows = (await connection.execute(_claim(left_alone))).all()
        await self._start_all(rows)
        return len(rows)

    async def sweep_forever(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            try:
                while await self.sweep() == BATCH:
                    pass
            except Exception as error:
                log.warning("refund_sweep_failed", error=type(error).__name__)

    async def _start_all(self, rows: Sequence[Row[Any]]) -> None:
        for row in rows:
            amount = Money(minor=row.amount_minor, currency=row.currency)
            refund = GiveRefund(order_id=row.order_id, key=row.key)
            await start_refund(self._temporal, self._settings, refund, amount, row.customer_id)


def _claim(left_alone: timedelta) -> Any:
    """Takes refunds on, each by one process only, in a statement that holds no lock afterwards."""
    at = now()
    due = (
        select(refunds.c.order_id, refunds.c.key)
        .where(refunds.c.state.in_(sorted(UNSETTLED)), refunds.c.updated_at <= at - left_alone)
        .order_by(refunds.c.updated_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    return (
        update(refunds)
        .where(
            tuple_(refunds.c.order_id, refunds.c.key).in_(due),
            orders.c.order_id == refunds.c.order_id,
        )
        .values(updated_at=func.greatest(refunds.c.updated_at, at))
        .returning(refunds.c.order_id, refunds.c.key, refunds.c.amount_minor, orders.c.currency, orders.c.customer_id)
    )
