"""Money that somebody moved at Stripe, e.g. in its dashboard: booked once, told to a person, and its goods held.

A refund leaves a PaymentIntent `succeeded` (https://docs.stripe.com/payments/paymentintents/lifecycle): it is seen in
the charge's `amount_refunded` and in the list of refunds only. Ours carry our reference in their metadata.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.stripe.refunds import GivenRefund, RefundGateway
from domain.commands import Attention, Hold
from domain.events import EventName
from domain.money import Money
from domain.order_states import PaymentStatus
from domain.payments import UNCAPTURED, IntentStatus, PaymentState
from domain.recovery import UNDONE, PaymentAtStripe
from domain.refunds import AT_STRIPE_KEY, BY_STRIPE, RefundState, is_the_undos, operation_of
from domain.repairs import FOREIGN_REFUND
from domain.steps import AT_STRIPE, RETURN, FenceState
from services.orders.book import LockedOrder, OrderBook
from services.payments.book import note_state, payment_known
from services.payments.tables import Payment
from services.refunds import book as refund_book
from services.refunds.holds import note_hold
from services.refunds.tables import Refund
from services.tickets.book import open_ticket


class RefundBooking:
    """Books what Stripe says of a payment's refunds, whoever gave them."""

    def __init__(self, book: OrderBook, stripe: RefundGateway) -> None:
        self._book, self._stripe = book, stripe

    async def given_back(self, payment_intent_id: str) -> int:
        """What Stripe says has gone back of a payment, also what is still pending; in minor units."""
        return sum(refund.amount for refund in await self._stripe.all_of(payment_intent_id) if not refund.failed)

    async def book(self, order_id: str, payment: PaymentAtStripe) -> None:
        """Books every refund of the payment as Stripe says it is now, and its release. A repeat writes nothing."""
        given = await self._stripe.all_of(payment.id) if payment.received else []
        async with self._book.locked(order_id) as order:
            if payment.status == IntentStatus.CANCELED:
                await _book_release(order, payment)
            await book_refunds(order, payment, given)


async def book_refunds(order: LockedOrder, payment: PaymentAtStripe, given: Sequence[GivenRefund]) -> None:
    """Under the order's lock: each refund of the list is booked as it is now, and one that is not ours is told."""
    rows = await refund_book.refunds_of(order)
    booked = payment_known(order, payment.id)
    for refund in reversed(given):  # the oldest first
        row = next((row for row in rows if _is_of(row, refund)), None)
        if row is not None:
            await refund_book.record(order, row, refund)
        elif booked is not None and not refund.failed and not _has_an_owner(order, booked, refund):
            await _book_foreign(order, booked, payment.received, refund)
    if given:
        await note_hold(order, Hold(order.row.hold) if order.row.hold in (Hold.REVIEW, Hold.DISPUTE) else None)


def _is_of(row: Refund, refund: GivenRefund) -> bool:
    """A second refund under one reference is not the row's: nobody asked for it twice."""
    if row.stripe_refund_id is not None:
        return row.stripe_refund_id == refund.id
    return operation_of(row.key) == refund.operation


def _has_an_owner(order: LockedOrder, booked: Payment, refund: GivenRefund) -> bool:
    """Whether the undo, which gives back the rest, books it itself: unless it was ended by a write-off."""
    return is_the_undos(refund.operation) and (
        order.state_of(RETURN) is not FenceState.DONE or booked.state == PaymentState.REFUNDED
    )


async def _book_foreign(order: LockedOrder, booked: Payment, received: int, refund: GivenRefund) -> None:
    row = Refund(
        order_id=order.row.order_id,
        key=f"{AT_STRIPE_KEY}{refund.id}",
        amount_minor=refund.amount,
        reason="given back at Stripe",
        by=BY_STRIPE,
        state=RefundState.ASKED.value,
        stripe_refund_id=refund.id,
        payment_intent_id=booked.payment_intent_id,
    )
    order.session.add(row)
    await order.session.flush()
    counted = booked.state == PaymentState.REFUNDED  # an undo has given back all, and with it this one
    booked.captured_minor = max(booked.captured_minor, received)  # maybe there as well
    await refund_book.record(order, row, refund)
    if not counted:
        amount = Money(minor=refund.amount, currency=order.row.currency)
        about = f"{amount} of payment {booked.payment_intent_id} went back at Stripe by refund {refund.id}"
        ticket = Attention(order_id=order.row.order_id, step=AT_STRIPE, kind=FOREIGN_REFUND, detail=about)
        await open_ticket(order, ticket, subject=refund.id)


async def _book_release(order: LockedOrder, payment: PaymentAtStripe) -> None:
    """Money that was only held, and let go of at Stripe after a person had written it off."""
    booked = payment_known(order, payment.id)
    if booked is None or booked.state not in UNCAPTURED or order.status not in UNDONE:
        return
    note_state(order, booked, PaymentState.VOIDED)
    order.paid(PaymentStatus.VOIDED)
    order.note("payment voided at Stripe", by=BY_STRIPE)
    order.emit(EventName.PAYMENT_VOIDED)
