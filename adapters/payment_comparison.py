"""Our rows beside Stripe's list of PaymentIntents, page by page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.settled_payments import settled_payments
from domain.order_states import OrderStatus
from domain.recovery import PaymentAtStripe, PaymentInBooks
from domain.settled_payments import Settled

_ROWS = text("""
    SELECT payments.payment_intent_id, orders.order_id, orders.status, orders.updated_at,
           payments.state, payments.captured_minor, payments.refunded_minor,
           (SELECT coalesce(sum(amount_minor), 0) FROM refunds
             WHERE refunds.order_id = orders.order_id AND refunds.state = 'pending') AS pending
      FROM orders LEFT JOIN payments ON payments.order_id = orders.order_id AND payment_intent_id = ANY(:payments)
     WHERE orders.order_id = ANY(:orders)
        OR orders.order_id IN (SELECT order_id FROM payments WHERE payment_intent_id = ANY(:payments))
""")

_CHANGED = text("""
    SELECT payment_intent_id FROM orders JOIN payments USING (order_id)
     WHERE status = ANY(:all) AND orders.updated_at BETWEEN :since AND :until
       AND (:every OR order_id = ANY(:order_ids))
     ORDER BY payment_intent_id
""")


@dataclass(frozen=True)
class Compared:
    """A payment with what our books know of it, and what a person has decided about it."""

    payment: PaymentAtStripe
    order_id: str | None = None  # None: there is no such order
    status: OrderStatus | None = None
    updated_at: datetime | None = None
    row: PaymentInBooks | None = None
    settled: Settled | None = None


async def beside(connection: AsyncConnection, payments: Sequence[PaymentAtStripe]) -> list[Compared]:
    """Each payment that is ours with its row and order; those of others are left out."""
    wanted = {"payments": [one.id for one in payments], "orders": [one.order_id for one in payments if one.order_id]}
    rows = (await connection.execute(_ROWS, wanted)).all()
    by_payment = {row.payment_intent_id: row for row in rows if row.payment_intent_id}
    by_order = {row.order_id: row for row in rows}
    settled = await settled_payments(connection, list(by_order), wanted["payments"])
    return [
        _compared(payment, by_payment.get(payment.id), by_order.get(payment.order_id), settled.get(payment.id))
        for payment in payments
        if payment.order_id or payment.id in by_payment
    ]


def _compared(
    payment: PaymentAtStripe,
    known: Row[tuple[object, ...]] | None,
    order: Row[tuple[object, ...]] | None,
    settled: Settled | None,
) -> Compared:
    found = known or order
    if found is None:
        return Compared(payment, settled=settled)
    row = (
        PaymentInBooks(
            state=known.state,
            captured=known.captured_minor,
            refunded=known.refunded_minor,
            pending=int(known.pending),
        )
        if known
        else None
    )
    return Compared(payment, found.order_id, OrderStatus(found.status), found.updated_at, row, settled)


async def changed(
    connection: AsyncConnection, since: datetime, until: datetime, order_ids: Sequence[str], but: Collection[str]
) -> list[str]:
    """The payments of orders that were last changed in a time, but for those that were compared already."""
    bounds = {"since": since, "until": until, "all": [*OrderStatus], "every": not order_ids}
    found = (await connection.execute(_CHANGED, bounds | {"order_ids": list(order_ids)})).scalars()
    return [payment_id for payment_id in found if payment_id not in but]
