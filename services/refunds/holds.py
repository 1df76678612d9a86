"""Holds: a review, a dispute or a refund at Stripe keeps unshipped goods here, and reaches a person."""

from __future__ import annotations

from domain.commands import Attention, Hold
from domain.order_states import OrderStatus
from domain.refunds import BY_STRIPE, RefundState
from domain.steps import RELEASE
from services.orders.book import LockedOrder
from services.payments.book import payment_of
from services.refunds.book import refundable, refunds_of
from services.tickets.book import close_tickets, open_ticket

STEP = "hold_payment"
"""Under which the repair desk knows the tickets of holds."""

UNSHIPPED = frozenset([OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP])

WORDS = {
    Hold.REVIEW: "Stripe reviews the payment for fraud: nothing ships before the review is closed",
    Hold.DISPUTE: "the customer disputes the charge: ship nothing more, answer the dispute at Stripe, refund nothing",
    Hold.REFUNDED: "somebody gave all of the money back at Stripe: cancel the order, or say why its goods may leave",
}


async def note_hold(order: LockedOrder, at_stripe: Hold | None) -> bool:
    """Writes down a hold that is new or over, with its ticket; False when nothing has changed.

    `at_stripe` is a review or a dispute; a refund that was given there is known by our own book of refunds.
    """
    hold = at_stripe or await _of_a_refund(order)
    if order.row.hold == hold:
        return False
    order.row.hold = hold.value if hold else None
    if hold is None:
        order.note("hold on the payment released", by="stripe")
        await close_tickets(order, STEP)
    else:
        ticket = Attention(order_id=order.row.order_id, step=STEP, kind=f"payment_{hold}", detail=WORDS[hold])
        await open_ticket(order, ticket)
    return True


async def _of_a_refund(order: LockedOrder) -> Hold | None:
    """What this service gave back itself was somebody's decision about this order; what Stripe tells may be news."""
    if order.status not in UNSHIPPED or order.state_of(RELEASE) is not None:
        return None
    rows, payment = await refunds_of(order), await payment_of(order)
    foreign = any(row.by == BY_STRIPE and row.state != RefundState.FAILED for row in rows)
    if not foreign or payment is None or await refundable(order, payment) > 0:
        return None
    return Hold.REFUNDED
