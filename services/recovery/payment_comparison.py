"""Compares our rows with Stripe's list of PaymentIntents, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.order_states import OrderStatus
from domain.recovery import OrderCursor, PaymentAtStripe, PaymentInBooks
from domain.settled_payments import Settled
from services.orders.pages import OrderPages
from services.repairs.settled_payments import settled_payments

_ABOUT = """
    SELECT {payment} orders.order_id, orders.status, orders.updated_at,
           (SELECT coalesce(sum(amount_minor), 0) FROM refunds
             WHERE refunds.order_id = orders.order_id AND refunds.state = 'pending') AS pending
      FROM {tables}
"""

# Two statements, each by a primary key: one with OR would read all orders for each page of payments.
_BY_PAYMENT = text(
    _ABOUT.format(
        payment="payment_intent_id, state, captured_minor, refunded_minor,",
        tables="payments JOIN orders USING (order_id) WHERE payment_intent_id = ANY(:payments)",
    )
)
_BY_ORDER = text(_ABOUT.format(payment="", tables="orders WHERE order_id = ANY(:orders)"))

_CHANGED = OrderPages()
_PAYMENTS = text("SELECT payment_intent_id FROM payments WHERE order_id = ANY(:orders) ORDER BY payment_intent_id")


@dataclass(frozen=True)
class Compared:
    """A payment with what our books know of it, and what a person has decided about it."""

    payment: PaymentAtStripe
    order_id: str | None = None  # None: there is no such order
    status: OrderStatus | None = None
    updated_at: datetime | None = None
    row: PaymentInBooks | None = None
    settled: Settled | None = None


async def compare(connection: AsyncConnection, payments: Sequence[PaymentAtStripe]) -> list[Compared]:
    """Each payment that is ours with its row and order; those of others are left out."""
    ids = [one.id for one in payments]
    by_payment = {row.payment_intent_id: row for row in await connection.execute(_BY_PAYMENT, {"payments": ids})}
    others = {one.order_id for one in payments if one.order_id and one.id not in by_payment}
    by_order = {row.order_id: row for row in await connection.execute(_BY_ORDER, {"orders": sorted(others)})}
    orders = {row.order_id for row in by_payment.values()} | by_order.keys()
    settled = await settled_payments(connection, sorted(orders), ids)
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
    connection: AsyncConnection, after: OrderCursor, until: datetime, order_ids: Sequence[str], most: int
) -> tuple[list[str], OrderCursor | None]:
    """The payments of a page of orders, by their last change, and the last of these orders; None after the end."""
    orders = await _CHANGED.read(connection, [*OrderStatus], after, until, order_ids, most)
    if not orders:
        return [], None
    payments = (await connection.execute(_PAYMENTS, {"orders": [row.order_id for row in orders]})).scalars().all()
    return [*payments], OrderCursor(updated_at=orders[-1].updated_at, order_id=orders[-1].order_id)
