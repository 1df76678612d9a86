"""Our book of an order's payments: one row for each PaymentIntent. Changed under the order's lock."""

from __future__ import annotations

from adapters.stripe.payments import PaymentSnapshot
from domain.order_states import PaymentStatus
from domain.payments import PaymentState
from services.orders.book import LockedOrder
from services.payments.tables import Payment


def payment_of(order: LockedOrder) -> Payment | None:
    """The order's latest payment."""
    payments = order.rows_of(Payment)
    return payments[-1] if payments else None


def payment_known(order: LockedOrder, payment_intent_id: str) -> Payment | None:
    """The order's payment by its PaymentIntent; None for one that our books do not know."""
    payments = order.rows_of(Payment)
    return next((payment for payment in payments if payment.payment_intent_id == payment_intent_id), None)


def save_intent(order: LockedOrder, intent: PaymentSnapshot, attempt: int = 1) -> Payment:
    """Remembers a PaymentIntent before it is confirmed; the same one again changes nothing."""
    known = payment_known(order, intent.id)
    if known is not None:
        return known
    payment = Payment(
        payment_intent_id=intent.id,
        order_id=order.row.order_id,
        attempt=attempt,
        state=PaymentState.CREATED.value,
        amount_minor=intent.amount,
        currency=order.row.currency,
    )
    order.add(payment)
    return payment


def amount_due(order: LockedOrder) -> int:
    """What the customer owes, in minor units: the total without what the lines are worth that cannot be shipped.

    So a dropped line takes its discount and its tax with it, nothing is allocated anew, and the fee stays.
    """
    return order.row.total_minor - sum(line.paid.total for line in order.lines() if line.dropped)


def note_state(order: LockedOrder, payment: Payment, state: PaymentState) -> None:
    """Writes the payment's state; what the order shows of it, the caller writes."""
    payment.state = state.value


def offer_again(order: LockedOrder, payment: Payment) -> None:
    """A payment whose card was declined is tried with another card; any other state stays."""
    if payment.state == PaymentState.DECLINED:
        note_state(order, payment, PaymentState.CREATED)


def note_refunded_sum(order: LockedOrder, payment: Payment) -> None:
    """States payment and order by the sum of what went back, which the caller has changed."""
    whole = payment.refunded_minor == payment.captured_minor
    note_state(order, payment, PaymentState.REFUNDED if whole else PaymentState.CAPTURED)
    part = PaymentStatus.PARTIALLY_REFUNDED if payment.refunded_minor else PaymentStatus.CAPTURED
    order.paid(PaymentStatus.REFUNDED if whole else part)
