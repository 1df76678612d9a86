"""The messages of the scheduled jobs and of `OrderRecovery`, and the comparison of one payment in two books."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain.commands import FulfillOrder, Message
from domain.order_states import OrderStatus
from domain.settled_payments import Known, Settled, happened_as_well, stands

RECOVERED = "recovered"
NEVER_STARTED = "never_started"

UNDONE = (OrderStatus.CANCELED, OrderStatus.REJECTED)
"""The final states in which an order holds neither stock nor money nor a label."""


class RecoverOrder(FulfillOrder):
    """The input of the workflow `OrderRecovery`: an order without a running workflow.

    `why` says in words how that is known, `code` is stable (RECOVERED or NEVER_STARTED). `status` is the order's when
    it was found. `cancels` counts the requests to cancel that its timeline has already: the next one goes on from it.
    """

    why: str
    code: str = RECOVERED
    status: OrderStatus = OrderStatus.PLACED
    cancels: int = 0
    needs_attention: bool = False


class Standing(Message):
    """An order at the moment its recovery begins, read under the order's lock.

    `tickets` are the steps with an open ticket of the former workflow. `needs_attention` says that other tickets of
    the order are open.
    """

    status: OrderStatus
    tickets: list[str] = Field(default=[])
    needs_attention: bool = False


class OrderCursor(Message):
    """The place of an order in the list by last change: where the next page begins."""

    updated_at: datetime
    order_id: str


class Reconciled(Message):
    """The result of one reconciliation, over all its batches: numbers of orders, and of `drifts` between books.

    `looked_at` counts the orders that were checked, `recovered` those whose recovery was started, `stuck` those whose
    workflow keeps failing its task.
    """

    looked_at: int = 0
    recovered: int = 0
    stuck: int = 0
    drifts: int = 0
    lost: int = 0  # orders without a workflow that were under way: their recovery undoes something
    stopped: bool = False  # there were too many of them: it undid no more, and called a person


class ReconcileOrders(Message):
    """The input of the workflow `Reconciliation`. With `order_ids` it looks at these orders and at nothing else.

    An order that changed within `unchanged_for` is left to its own workflow. `batch` is the number of orders of one
    activity; `stop_share` is a share between 0 and 1.
    """

    unchanged_for: timedelta = timedelta(minutes=10)
    order_ids: list[str] = Field(default=[])
    batch: int = 500
    after: OrderCursor | None = None  # go on after this order
    so_far: Reconciled = Field(default_factory=Reconciled)  # by the runs before this one
    stop_orders: int = 20  # a run that would recover more orders than this,
    stop_share: float = 0.05  # and more than this share of those that it has looked at, recovers none


class OrdersLookedAt(Message):
    """The result of one batch, counted as in `Reconciled`; `next` is None after the last batch."""

    looked_at: int = 0
    recovered: int = 0
    stuck: int = 0
    next: OrderCursor | None = None
    lost: int = 0
    stopped: bool = False


def stops(asked: ReconcileOrders, found: OrdersLookedAt) -> bool:
    """Whether so many orders have lost their workflow that the cluster or the database must be the wrong one.

    A Temporal cluster that was restored or made anew knows no order; a restored database has orders under way that
    were delivered long ago. To undo them would pay everybody back. Both bounds of `asked` have to be passed.
    """
    lost, looked_at = asked.so_far.lost + found.lost, asked.so_far.looked_at + found.looked_at
    return lost > asked.stop_orders and lost > asked.stop_share * looked_at


class DriftFound(Message):
    """How many rows of our books disagree with each other or with Stripe; `drifts` includes what was put right."""

    drifts: int = 0
    recovered: int = 0  # of them, by giving back what an ended order still holds
    more: bool = False  # a later time is still to be compared


class CatchUpEvents(Message):
    """The input of the workflow `StripeEvents`. Events younger than `older_than` are left: they may still come."""

    older_than: timedelta = timedelta(minutes=1)


class EventsCaughtUp(Message):
    """How many events of Stripe had never arrived; `more` when the list goes on and is to be read further."""

    missed: int = 0
    more: bool = False


class PaymentAtStripe(Message):
    """A PaymentIntent as Stripe lists it; amounts in minor units of its currency.

    `order_id` comes from the metadata and is None for a payment that is not ours. `status` is Stripe's own word
    (https://docs.stripe.com/payments/paymentintents/lifecycle).
    """

    id: str
    order_id: str | None
    status: str
    received: int = 0
    refunded: int = 0

    @property
    def holds_money(self) -> bool:
        """Whether Stripe has money of the customer: authorized, or taken and not fully given back."""
        return self.status == "requires_capture" or self.received > self.refunded

    @property
    def known(self) -> Known:
        """The same in the shape that is kept with a person's decision."""
        return Known(status=self.status, received=self.received, refunded=self.refunded)


class PaymentInBooks(Message):
    """Our row of a payment; amounts in minor units.

    `pending` is the sum of refunds that Stripe has accepted and the bank has not; Stripe counts them as refunded.
    """

    state: str
    captured: int = 0
    refunded: int = 0
    pending: int = 0

    @property
    def is_live(self) -> bool:
        """Whether our books expect this payment to be captured; an order has one such payment at most."""
        return self.state in ("created", "requires_action", "authorized")


class Verdict(StrEnum):
    """What to do about a payment after Stripe's book and ours were compared."""

    AGREES = "agrees"
    GIVE_BACK = "give_back"  # money of an order that is undone
    LATE = "late"  # the same, of a payment that a person has settled as it was before
    BOOK = "book"  # somebody gave money back at Stripe, or released it
    TWICE = "twice"  # Stripe has done as well what a person has settled
    REPORT = "report"  # nobody can know by the books alone what is right


def judge_payment(
    payment: PaymentAtStripe, row: PaymentInBooks | None, order: OrderStatus | None, settled: Settled | None = None
) -> tuple[Verdict, str]:
    """Compares a payment in Stripe's book with our row: the verdict, and the difference in words for a person.

    The order has not changed for a while, so no workflow is at work on the payment; `order` is its state, None for an
    order that we do not know. `settled` is what a person has decided about the payment; it silences only the
    difference that was settled.
    """
    if settled is not None and (twice := happened_as_well(settled, payment.known)):
        return Verdict.TWICE, f"{twice} of {payment.id}"
    if order in UNDONE and row is not None and row.is_live and payment.status == "canceled":
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
    if order in UNDONE and row.state == "refunded":
        return ""  # everything was given back, as the undo has booked
    return f"payment {payment.id}: {row.refunded} refunded in our books, {payment.refunded} at Stripe"


def _difference(payment: PaymentAtStripe, row: PaymentInBooks | None, order: OrderStatus | None) -> str:
    if order is None or row is None:
        about = "of an order that our books do not know" if order is None else "which our books do not know"
        return f"Stripe has money in {payment.id}, {about}" if payment.holds_money else ""
    if row.state in ("voided", "declined") and payment.holds_money:
        return f"payment {payment.id} is {row.state} in our books and {payment.status} at Stripe"
    if row.state not in ("captured", "refunded"):
        return ""  # its workflow is at work on it
    if payment.received != row.captured:
        return f"payment {payment.id}: {row.captured} captured in our books, {payment.received} at Stripe"
    return ""
