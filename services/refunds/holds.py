"""Whether a payment is on hold: by a review, a dispute, or a refund of everything that somebody gave at Stripe."""

from __future__ import annotations

from domain.commands import Hold
from domain.order_states import OrderStatus
from domain.refunds import BY_STRIPE, RefundState
from domain.steps import RELEASE
from services.orders.book import LockedOrder
from services.payments.book import payment_of
from services.payments.holds import write_hold
from services.refunds.book import refundable, refunds_of

UNSHIPPED = frozenset([OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP])


async def note_hold(order: LockedOrder, at_stripe: Hold | None) -> bool:
    """Writes a hold that is new, or the end of one, with its ticket; False when nothing has changed.

    `at_stripe` is a review or a dispute; a refund that was given there is known by our own book of refunds.
    """
    return await write_hold(order, at_stripe or await _of_a_refund(order))


async def _of_a_refund(order: LockedOrder) -> Hold | None:
    """What this service gave back itself was somebody's decision about this order; what Stripe tells may be news."""
    if order.status not in UNSHIPPED or order.state_of(RELEASE) is not None:
        return None
    rows, payment = await refunds_of(order), payment_of(order)
    foreign = any(row.by == BY_STRIPE and row.state != RefundState.FAILED for row in rows)
    if not foreign or payment is None or await refundable(order, payment) > 0:
        return None
    return Hold.REFUNDED
