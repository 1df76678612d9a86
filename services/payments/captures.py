"""What a capture writes: the money is taken, and the order is ready to ship."""

from __future__ import annotations

from adapters.stripe.payments import PaymentSnapshot
from domain.commands import Attention
from domain.events import EventName
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from domain.repairs import FOREIGN_CAPTURE
from domain.steps import AT_STRIPE, CAPTURE, FenceState
from services.orders.book import LockedOrder
from services.payments.book import note_refunded_sum, payment_of
from services.tickets.book import open_ticket


async def record_captured(order: LockedOrder, amount: int) -> None:
    """The order is READY_TO_SHIP; `amount` was taken, in minor units, 0 for an order over nothing."""
    payment = payment_of(order)
    if payment is not None:
        payment.captured_minor = amount
        note_refunded_sum(order, payment)  # somebody may have captured it at Stripe, and given a part back
    else:
        order.paid(PaymentStatus.CAPTURED)
    order.move(OrderStatus.READY_TO_SHIP, "payment captured")
    order.mark(CAPTURE, FenceState.DONE)
    part = Money(minor=amount, currency=order.row.currency) if amount != order.row.total_minor else None
    order.emit(EventName.PAYMENT_CAPTURED, amount=part)


async def tell_foreign_capture(order: LockedOrder, intent: PaymentSnapshot, due: int) -> None:
    """Opens a ticket where somebody captured at Stripe, and another amount than the `due` minor units.

    What is missing, or too much, is for a person.
    """
    if intent.amount_received == due:
        return
    taken, asked = (Money(minor=minor, currency=order.row.currency) for minor in (intent.amount_received, due))
    about = f"{taken} of payment {intent.id} were captured at Stripe, {asked} are due"
    ticket = Attention(order_id=order.row.order_id, step=AT_STRIPE, kind=FOREIGN_CAPTURE, detail=about)
    await open_ticket(order, ticket, subject=intent.id, seen=intent.of_order(order.row.order_id).known)
