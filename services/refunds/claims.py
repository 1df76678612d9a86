"""Refunds that are not settled: one process at a time sees to it that each has its workflow."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import BindParameter, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now
from domain.money import Money
from domain.refunds import UNSETTLED, GiveRefund
from services.orders.tables import Order
from services.refunds.tables import Refund

orders = Order.__table__  # type: ignore[attr-defined]
refunds = Refund.__table__  # type: ignore[attr-defined]

# Written out and no parameters: only so does any plan of the statement use the index of what is unsettled.
_UNSETTLED: BindParameter[list[str]] = bindparam("unsettled", sorted(UNSETTLED), expanding=True, literal_execute=True)


class Unsettled(NamedTuple):
    """A refund whose workflow may be missing."""

    refund: GiveRefund
    amount: Money
    customer_id: str


async def claim_unsettled(writes: AsyncEngine, left_alone: timedelta, limit: int) -> list[Unsettled]:
    """Claims up to `limit` refunds that nobody has touched for `left_alone`, each for one process only.

    `writes` commits each statement by itself, so that no lock is held afterwards.
    """
    at = now()
    due = (
        select(refunds.c.order_id, refunds.c.key)
        .where(refunds.c.state.in_(_UNSETTLED), refunds.c.updated_at <= at - left_alone)
        .order_by(refunds.c.updated_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = (
        update(refunds)
        .where(
            tuple_(refunds.c.order_id, refunds.c.key).in_(due),
            orders.c.order_id == refunds.c.order_id,
        )
        .values(updated_at=func.greatest(refunds.c.updated_at, at))
        .returning(refunds.c.order_id, refunds.c.key, refunds.c.amount_minor, orders.c.currency, orders.c.customer_id)
    )
    async with writes.connect() as connection:
        rows = (await connection.execute(claimed)).all()
    return [
        Unsettled(
            GiveRefund(order_id=row.order_id, key=row.key),
            Money(minor=row.amount_minor, currency=row.currency),
            row.customer_id,
        )
        for row in rows
    ]
