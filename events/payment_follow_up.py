"""What follows a webhook of Stripe: look at the payment as it is now, and tell only what is not known yet.

The order's workflow gets a signal, the books what somebody did at Stripe, and a person what no step can mend.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.stripe.payments import PaymentSnapshot
from domain.commands import Attention, Hold
from domain.order_states import OrderStatus
from domain.payments import IntentStatus, PaymentState
from domain.recovery import UNDONE, PaymentAtStripe, PaymentInBooks, Verdict, judge_payment
from domain.repairs import LATE_MONEY, REFUND_FAILED, SETTLED_TWICE
from domain.steps import AT_STRIPE, RETURN
from engine.signals import signal
from services.orders.book import OrderBook
from services.refunds.foreign import RefundBooking
from services.refunds.holds import note_hold
from services.repairs.settled_payments import settled_payments
from services.tickets.book import open_ticket
from workflows.order_fulfillment import OrderFulfillment

# PaymentIntent status -> the states of our book that say the same
# (https://docs.stripe.com/payments/paymentintents/lifecycle); a refund leaves the intent `succeeded`.
SAME: dict[str, frozenset[PaymentState]] = {
    IntentStatus.REQUIRES_PAYMENT_METHOD: frozenset([PaymentState.CREATED, PaymentState.DECLINED]),
    IntentStatus.REQUIRES_CONFIRMATION: frozenset([PaymentState.CREATED]),
    IntentStatus.REQUIRES_ACTION: frozenset([PaymentState.REQUIRES_ACTION]),
    IntentStatus.PROCESSING: frozenset([PaymentState.CREATED, PaymentState.REQUIRES_ACTION]),
    IntentStatus.REQUIRES_CAPTURE: frozenset([PaymentState.AUTHORIZED]),
    IntentStatus.SUCCEEDED: frozenset([PaymentState.CAPTURED, PaymentState.REFUNDED]),
    IntentStatus.CANCELED: frozenset([PaymentState.VOIDED, PaymentState.DECLINED]),
}

GONE_BACK = frozenset([OrderStatus.CANCELING, *UNDONE])

_BOOKED = text("""
    SELECT payments.order_id, payments.state, payments.captured_minor, payments.refunded_minor, orders.status,
           orders.hold, count(refunds.key) AS refunds,
           coalesce(sum(refunds.amount_minor) FILTER (WHERE refunds.state = 'pending'), 0) AS pending
      FROM payments JOIN orders USING (order_id) LEFT JOIN refunds ON refunds.order_id = payments.order_id
     WHERE payments.payment_intent_id = :payment
     GROUP BY payments.payment_intent_id, orders.order_id
""")

log = structlog.get_logger()


class StripePayments(Protocol):
    async def retrieve(self, payment_intent_id: str) -> PaymentSnapshot: ...

    async def hold_on(self, intent: PaymentSnapshot) -> Hold | None: ...


class BookedPayment(NamedTuple):
    """What our books say: of which order, which state it is in, and how often money went back."""

    order_id: str
    status: OrderStatus
    hold: str | None
    row: PaymentInBooks
    refunds: int

    @property
    def undone(self) -> bool:
        return self.status in UNDONE

    def lacks(self, payment: PaymentAtStripe) -> bool:
        """Whether Stripe's list of refunds has to be read, or a release has to be booked."""
        released = self.undone and self.row.is_live and payment.status == IntentStatus.CANCELED
        return released or self.refunds > 0 or payment.refunded != self.row.refunded + self.row.pending


class PaymentFollowUp:
    """Follows up Stripe's events. Money for an order that has ended reaches a person: it is never dropped."""

    def __init__(
        self, reads: AsyncEngine, temporal: Client, payments: StripePayments, book: OrderBook, refunds: RefundBooking
    ) -> None:
        self._reads, self._temporal, self._payments = reads, temporal, payments
        self._book, self._refunds = book, refunds

    async def is_urgent(self, payment_intent_id: str) -> bool:
        booked = await self._booked(payment_intent_id)
        return booked is not None and booked.status is OrderStatus.AWAITING_CUSTOMER

    async def look(self, payment_intent_id: str) -> None:
        booked = await self._booked(payment_intent_id)
        intent = await self._payments.retrieve(payment_intent_id)
        if booked is None:
            log.info("payment_of_no_order", payment_intent_id=payment_intent_id)
            return
        payment, was_held = intent.of_order(booked.order_id), booked.hold
        if booked.lacks(payment):
            await self._refunds.book(booked.order_id, payment)
            booked = await self._booked(payment_intent_id) or booked
        if intent.disputed or intent.review or booked.hold or was_held:
            await self._note_hold(booked.order_id, intent, was_held)
        if not await self._is_settled(booked, payment):
            await self._tell(booked, payment)

    async def _tell(self, booked: BookedPayment, payment: PaymentAtStripe) -> None:
        if (
            booked.row.state == PaymentState.REFUNDED
            and await self._refunds.given_back(payment.id) < payment.received
        ):
            about = f"a refund of payment {payment.id} failed after it had succeeded: the shop still has the money"
            await self._call_person(booked, payment, REFUND_FAILED, RETURN, about)
        elif booked.row.state in SAME.get(payment.status, ()):
            return
        elif booked.undone and payment.holds_money:
            about = f"Stripe says that payment {payment.id} is {payment.status}, but the order has ended"
            await self._call_person(booked, payment, LATE_MONEY, RETURN, about)
        else:
            await signal(self._temporal, booked.order_id, OrderFulfillment.payment_changed)

    async def _is_settled(self, booked: BookedPayment, payment: PaymentAtStripe) -> bool:
        """Whether a person has settled this payment; who settled what Stripe has done as well has to hear of it."""
        if booked.status not in GONE_BACK and booked.row.state in SAME.get(payment.status, ()):
            return False  # the two books say the same, and most events are such
        async with self._reads.connect() as connection:
            settled = (await settled_payments(connection, [booked.order_id])).get(payment.id)
        if settled is None:
            return False
        verdict, why = judge_payment(payment, booked.row, booked.status, settled)
        if verdict is Verdict.TWICE:
            await self._call_person(booked, payment, SETTLED_TWICE, AT_STRIPE, why)
        return verdict in (Verdict.TWICE, Verdict.AGREES)

    async def _call_person(
        self, booked: BookedPayment, payment: PaymentAtStripe, kind: str, step: str, detail: str
    ) -> None:
        about = Attention(order_id=booked.order_id, step=step, kind=kind, detail=detail)
        async with self._book.locked(booked.order_id) as order:
            await open_ticket(order, about, subject=payment.id, seen=payment.known)

    async def _note_hold(self, order_id: str, intent: PaymentSnapshot, was_held: str | None) -> None:
        """What keeps goods here reaches a person at once, also when the order is closed."""
        hold = await self._payments.hold_on(intent)
        async with self._book.locked(order_id) as order:
            changed = await note_hold(order, hold) or order.row.hold != was_held
            held = order.row.hold is not None
        if changed or held:  # also again: the engine may have been away the first time
            await signal(self._temporal, order_id, OrderFulfillment.payment_changed)

    async def _booked(self, payment_intent_id: str) -> BookedPayment | None:
        async with self._reads.connect() as connection:
            row = (await connection.execute(_BOOKED, {"payment": payment_intent_id})).one_or_none()
        if row is None:
            return None
        structlog.contextvars.bind_contextvars(order_id=row.order_id)  # for the lines of this follow-up
        in_books = PaymentInBooks(
            state=row.state, captured=row.captured_minor, refunded=row.refunded_minor, pending=int(row.pending)
        )
        return BookedPayment(row.order_id, OrderStatus(row.status), row.hold, in_books, row.refunds)
