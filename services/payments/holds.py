"""A hold on an order's payment: unshipped goods stay here, and a person has a ticket about it."""

from __future__ import annotations

from domain.commands import Attention, Hold
from services.orders.book import LockedOrder
from services.tickets.book import close_tickets, open_ticket

STEP = "hold_payment"
"""Under which the repair desk knows the tickets of holds."""

WORDS = {
    Hold.REVIEW: "Stripe reviews the payment for fraud: nothing ships before the review is closed",
    Hold.DISPUTE: "the customer disputes the charge: ship nothing more, answer the dispute at Stripe, refund nothing",
    Hold.REFUNDED: "somebody gave all of the money back at Stripe: cancel the order, or say why its goods may leave",
}


async def write_hold(order: LockedOrder, hold: Hold | None) -> bool:
    """Writes a hold that is new, with its ticket, or the end of one; False when nothing has changed."""
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
