"""Recovery: what travels to the scheduled jobs and to `OrderRecovery`, and how one payment is judged by two books."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain.commands import FulfillOrder, Message
from domain.order_states import OrderStatus
from domain.payments import UNCAPTURED, IntentStatus, PaymentState
from domain.settled_payments import Known, Settled, happened_as_well, stands

RECOVERED = "recovered"
NEVER_STARTED = "never_started"

UNDONE = (OrderStatus.CANCELED, OrderStatus.REJECTED)
"""The ends at which an order holds neither stock nor money nor a label."""


class RecoverOrder(FulfillOrder):
    """The input of the workflow `OrderRecovery`: an order that nobody looks after, and how that is known.

    `status` is the order's when it was found; `cancels` counts the requests to cancel that its timeline has already.
    """

    why: str
    code: str = RECOVERED
    status: OrderStatus = OrderStatus.PLACED
    cancels: int = 0
    needs_attention: bool = False


class Standing(Message):
    """An order as it is when its recovery begins.

    `tickets` are the steps about which its former workflow called a person; `needs_attention` when others are open.
    """

    status: OrderStatus
    tickets: list[str] = Field(default=[])
    needs_attention: bool = False


class OrderCursor(Message):
    updated_at: datetime
    order_id: str


class Reconciled(Message):
    """The result of one reconciliation."""

    looked_at: int = 0
    recovered: int = 0
    stuck: int = 0
    drifts: int = 0
    lost: int = 0  # orders without a workflow that were under way: their recovery undoes something
    stopped: bool = False  # there were too many of them: it undid no more, and called a person


class ReconcileOrders(Message):
    """The input of the workflow `Reconciliation`. With `order_ids` it looks at nothing else.

    `unchanged_for` is how long an order has to have rested before anybody else than its workflow looks at it.
    """

    unchanged_for: timedelta = timedelta(minutes=10)
    order_ids: list[str] = Field(default=[])
    batch: int = 500
    after: OrderCursor | None = None  # go on behind this order
    so_far: Reconciled = Field(default_factory=Reconciled)  # by the runs before this one
    stop_orders: int = 20  # a run that would recover more orders than this,
    stop_share: float = 0.05  # and more than this share of those that it has looked at, recovers none


class OrdersLookedAt(Message):
    """What one batch came to; `next` is None behind the last one."""

    looked_at: int = 0
    recovered: int = 0
    stuck: int = 0
    next: OrderCursor | None = None
    lost: int = 0
    stopped: bool = False


def stops(asked: ReconcileOrders, found: OrdersLookedAt) -> bool:
    """Whether so many orders have lost their workflow that it is not they who are wrong.

    A Temporal cluster that was restored or made anew knows no order, and may have the id of the one before it; a
    restored database has orders under way that were delivered long ago. To undo them would pay everybody back.
    """
    lost, looked_at = asked.so_far.lost + found.lost, asked.so_far.looked_at + found.looked_at
    return lost > asked.stop_orders and lost > asked.stop_share * looked_at


class DriftFound(Message):
    """How many rows of our books disagree with each other or with Stripe."""

    drifts: int = 0
    recovered: int = 0  # of them, by giving back what an order that is over still holds
    more: bool = False  # a later time is still to be compared


class CatchUpEvents(Message):
    """The input of the workflow `StripeEvents`; an event younger than `older_than` may still be delivered."""

    older_than: timedelta = timedelta(minutes=1)


class EventsCaughtUp(Message):
    missed: int = 0
    more: bool = False


class PaymentAtStripe(Message):
    """A PaymentIntent as Stripe lists it; amounts in minor units."""

    id: str
    order_id: str | None
    status: str
    received: int = 0
    refunded: int = 0

    @property
    def holds_money(self) -> bool:
        return self.status == IntentStatus.REQUIRES_CAPTURE or self.received > self.refunded

    @property
    def known(self) -> Known:
        return Known(status=self.status, received=self.received, refunded=self.refunded)


class PaymentInBooks(Message):
    """Our row of a payment; `pending` is what Stripe has and the bank has not, which Stripe counts as refunded."""

    state: str
    captured: int = 0
    refunded: int = 0
    pending: int = 0

    @property
    def is_live(self) -> bool:
        return self.state in UNCAPTURED


class Verdict(StrEnum):
    AGREES = "agrees"
    GIVE_BACK = "give_back"  # money of an order that is undone
    LATE = "late"  # the same, of a payment that a person has settled as it was before
    BOOK = "book"  # somebody gave money back at Stripe, or released it
    TWICE = "twice"  # Stripe has done as well what a person has settled
    REPORT = "report"  # nobody can know by the books alone what is right


def judge_payment(
    payment: PaymentAtStripe, row: PaymentInBooks | None, order: OrderStatus | None, settled: Settled | None = None
) -> tuple[Verdict, str]:
    """What the two books say together of a payment whose order has rested; `order` is None for one we do not know.

    `settled` is what a person has decided about it, and silences only what it settled.
    """
    if settled is not None and (twice := happened_as_well(settled, payment.known)):
        return Verdict.TWICE, f"{twice} of {payment.id}"
    if order in UNDONE and row is not None and row.is_live and payment.status == IntentStatus.CANCELED:
        return Verdict.BOOK, f"payment {payment.id} is {row.state} in our books, and was canceled at Stripe"
    if settled is not None and stands(settled, payment.known):
        return Verdict.AGREES, ""
    if order in UNDONE and payment.holds_money:
        verdict = Verdict.GIVE_BACK if settled is None else Verdict.LATE
        return verdict, f"Stripe has money of the order in {payment.id} ({payment.status})"
    if row is not None and (given := _given_back(payment, row, order)):
        return Verdict.BOOK, given
    difference = _difference(payment, row, order)
    return (Verdict.REPORT, difference) if difference else (Verdict.AGREES, "")


def _given_back(payment: PaymentAtStripe, row: PaymentInBooks, order: OrderStatus | None) -> str:
    """Refunds that our books do not have as Stripe has them; while the order is undone they are its undo's work."""
    if order is OrderStatus.CANCELING or payment.refunded == row.refunded + row.pending:
        return ""
    if order in UNDONE and row.state == PaymentState.REFUNDED:
        return ""  # everything was given back, as the undo has booked
    return f"payment {payment.id}: {row.refunded} refunded in our books, {payment.refunded} at Stripe"


def _difference(payment: PaymentAtStripe, row: PaymentInBooks | None, order: OrderStatus | None) -> str:
    if order is None or row is None:
        about = "of an order that our books do not know" if order is None else "which our books do not know"
        return f"Stripe has money in {payment.id}, {about}" if payment.holds_money else ""
    if row.state in (PaymentState.VOIDED, PaymentState.DECLINED) and payment.holds_money:
        return f"payment {payment.id} is {row.state} in our books and {payment.status} at Stripe"
    if row.state not in (PaymentState.CAPTURED, PaymentState.REFUNDED):
        return ""  # its workflow is at work on it
    if payment.received != row.captured:
        return f"payment {payment.id}: {row.captured} captured in our books, {payment.received} at Stripe"
    return ""
