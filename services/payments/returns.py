"""What the undo of a payment writes: its fences first, and in the end what went back."""

from __future__ import annotations

from adapters.stripe.payments import PaymentSnapshot
from domain.events import EventName
from domain.money import Money
from domain.order_states import PaymentStatus
from domain.payments import PaymentState
from domain.steps import AUTHORIZE, CAPTURE, RETURN, FenceState
from services.orders.book import LockedOrder
from services.payments.book import note_state, payment_known
from services.payments.tables import Payment


def fence_off(order: LockedOrder) -> None:
    """From here on no late attempt saves an id, confirms or captures."""
    order.mark(AUTHORIZE, FenceState.UNDONE, order.result_of(AUTHORIZE))
    order.mark(CAPTURE, FenceState.UNDONE)


def is_undone(order: LockedOrder, payment: Payment) -> bool:
    """Whether an undo has given back the whole payment, and counts every refund of it as its own."""
    return payment.state == PaymentState.REFUNDED and order.state_of(RETURN) is FenceState.DONE


async def record_void(order: LockedOrder, intent: PaymentSnapshot) -> None:
    """The hold on the customer's money is released. A repeat writes nothing."""
    payment = payment_known(order, intent.id)
    if _is_written(order, payment, PaymentState.VOIDED):
        return
    declined = order.row.payment_status == PaymentStatus.FAILED
    if payment is not None:
        note_state(order, payment, PaymentState.VOIDED)
    order.mark(RETURN, FenceState.DONE)
    if declined:
        return  # nothing was held, so there is nothing to tell
    order.paid(PaymentStatus.VOIDED)
    order.note("payment voided")
    order.emit(EventName.PAYMENT_VOIDED)


async def record_refund(order: LockedOrder, intent: PaymentSnapshot) -> None:
    """All that was captured has gone back; the event tells the rest, without what went back before."""
    payment = payment_known(order, intent.id)
    if _is_written(order, payment, PaymentState.REFUNDED):
        return
    refunded = payment is not None and payment.state == PaymentState.REFUNDED
    before = payment.refunded_minor if payment is not None and not refunded else 0
    if payment is not None:
        payment.captured_minor = payment.refunded_minor = intent.amount_received
        note_state(order, payment, PaymentState.REFUNDED)
    order.mark(RETURN, FenceState.DONE)
    order.paid(PaymentStatus.REFUNDED)
    order.note("payment refunded")
    rest = intent.amount_received - before  # what went back before was told before
    part = None if rest == order.row.total_minor else Money(minor=rest, currency=order.row.currency)
    if rest > 0:
        order.emit(EventName.PAYMENT_REFUNDED, amount=part)


def record_nothing(order: LockedOrder) -> None:
    """There is no payment to give back."""
    if order.row.payment_status in (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED):
        order.paid(PaymentStatus.VOIDED)  # an order over 0: no money was ever asked for
    order.mark(RETURN, FenceState.DONE)


def _is_written(order: LockedOrder, payment: Payment | None, state: PaymentState) -> bool:
    return order.state_of(RETURN) is FenceState.DONE and (payment is None or payment.state == state)
