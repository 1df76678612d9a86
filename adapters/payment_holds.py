"""Holds: a fraud review or a dispute keeps unshipped goods here, and reaches a person."""

from __future__ import annotations

from adapters.order_book import LockedOrder
from adapters.repair_desk import close_tickets, open_ticket
from domain.commands import Attention, Hold

STEP = "hold_payment"
"""Under which the repair desk knows the tickets of holds."""

WORDS = {
    Hold.REVIEW: "Stripe reviews the payment for fraud: nothing ships before the review is closed",
    Hold.DISPUTE: "the customer disputes the charge: ship nothing more, answer the dispute at Stripe, refund nothing",
}


async def note_hold(order: LockedOrder, hold: Hold | None) -> bool:
    """Writes down a hold that is new or over, with its ticket; False when nothing has changed."""
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
