"""What travels between API, workflow and activities: ids, amounts and decisions, never personal data.

All of it is stored in workflow histories, so fields are only ever added, with a default.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.money import Money
from domain.order_states import OrderStatus

REASON_LENGTH = 500
NO_REASON = "requested"
WISH_ID_LENGTH = 100


class Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class FulfillOrder(Message):
    """The input of the workflow `OrderFulfillment`."""

    order_id: str
    customer_id: str
    total: Money
    ship_not_before: datetime | None = None
    grace_period: timedelta = timedelta(0)
    payment_retry_window: timedelta = timedelta(0)
    customer_patience: timedelta | None = None  # for 3-D Secure; None of an order from before it was a setting

    def ship_at(self, confirmed_at: datetime) -> datetime:
        """When shipping may begin: the grace period after the confirmation or `ship_not_before`, the later."""
        ready = confirmed_at + self.grace_period
        return max(ready, self.ship_not_before) if self.ship_not_before else ready


class OrderRef(Message):
    """The argument of a step that needs no more than to know which order.

    `look_again`: an undo that is done looks once more at the far end, for what came after it.
    """

    order_id: str
    look_again: bool = False


class PaymentTry(OrderRef):
    """One round of an order's payment: the card of the checkout (round 1), another card, a renewed authorization.

    `payment_method` is a Stripe id, None for the one that the order was placed with. `keep_card` saves it for
    renewals without the customer. With `retry_until` a card that is declined leaves the order waiting for another
    one. `renew` asks for a new authorization although the present one still holds.
    """

    round: int = 1
    payment_method: str | None = None
    keep_card: bool = False
    retry_until: datetime | None = None
    renew: bool = False


class NewPaymentMethod(Message):
    """What a customer whose card was declined offers instead: a Stripe payment method id."""

    payment_method: str


class CheckoutAnswer(Message):
    """What the customer's checkout waits for: CONFIRMED, REJECTED, AWAITING_CUSTOMER, or canceled meanwhile."""

    status: OrderStatus
    code: str = ""


class AuthorizationState(StrEnum):
    AUTHORIZED = "authorized"
    REQUIRES_ACTION = "requires_action"
    DECLINED = "declined"  # and another payment method may be offered


class Hold(StrEnum):
    """Why unshipped goods stay here."""

    REVIEW = "review"
    DISPUTE = "dispute"
    REFUNDED = "refunded"  # somebody gave all of it back at Stripe


class Authorization(Message):
    """What the customer's bank said in a round; `capture_before` is how long it holds the money."""

    state: AuthorizationState
    round: int = 1
    code: str = ""
    detail: str = ""
    capture_before: datetime | None = None
    hold: Hold | None = None


class Label(Message):
    carrier: str
    tracking_number: str


class ParcelStatus(StrEnum):
    """Where the carrier says the parcel is: every status of a tracker that EasyPost documents."""

    PRE_TRANSIT = "pre_transit"  # the label is bought; the carrier has not had the parcel yet
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    PICKUP = "available_for_pickup"  # it waits for its customer at a place of the carrier
    DELIVERED = "delivered"
    RETURNED = "return_to_sender"
    FAILURE = "failure"
    CANCELED = "cancelled"  # its label is void
    ERROR = "error"  # the carrier cannot be asked for it just now
    UNKNOWN = "unknown"

    @property
    def scanned(self) -> bool:
        """Whether the parcel has left: the carrier has had it in its hands."""
        return _WAY.index(self) >= _WAY.index(ParcelStatus.IN_TRANSIT)

    @property
    def lost(self) -> bool:
        """Whether the parcel will not reach its customer by itself."""
        return self in (ParcelStatus.RETURNED, ParcelStatus.FAILURE)

    def then(self, news: ParcelStatus) -> ParcelStatus:
        """What is known after `news`: webhooks and polls overtake each other, a parcel does not go back."""
        return max(self, news, key=_WAY.index)


_WAY = (
    ParcelStatus.UNKNOWN,
    ParcelStatus.ERROR,
    ParcelStatus.PRE_TRANSIT,
    ParcelStatus.CANCELED,
    ParcelStatus.IN_TRANSIT,
    ParcelStatus.OUT_FOR_DELIVERY,
    ParcelStatus.PICKUP,
    ParcelStatus.FAILURE,
    ParcelStatus.RETURNED,
    ParcelStatus.DELIVERED,
)


class Parcel(Message):
    status: ParcelStatus


class VoidOutcome(StrEnum):
    """What became of a shipment's label when it was to be voided."""

    NOTHING = "nothing"  # no label was ever bought
    VOIDED = "voided"
    REQUESTED = "requested"  # the carrier decides later
    SCANNED = "scanned"  # refused: the parcel is on its way


class ConfirmVoid(OrderRef):
    """Asks whether the carrier has confirmed a void.

    With `answers` the workflow hears that it has not, and waits by itself; before that the engine's retries waited.
    """

    answers: bool = False


class VoidedShipment(Message):
    """What became of a label, and, of one whose void is only requested, what is to be done about it.

    `money_first` by the shop's setting: stock and money go back before the carrier has confirmed. `look_again_in` is
    the pause before the next look; `ticket` the kind of ticket for which a person is called, with its `detail`.
    """

    outcome: VoidOutcome
    money_first: bool = False
    look_again_in: timedelta = timedelta(0)
    ticket: str = ""
    detail: str = ""


class CancelRequest(Message):
    """A wish to cancel: by whom and why. Free text is kept as given, cut at 500 characters.

    `text_id` names the text with the reason; in `reason` itself people write only where nothing comes between them
    and the workflow: a signal, a native cancel, an update by hand.

    `wish_id` is the same in every form in which one wish arrives (update, signal, a repeat of either), so that it is
    decided and recorded once. Empty for a signal that a person typed: each of these is a wish of its own.
    """

    reason: str = NO_REASON
    by: str = "operations"
    text_id: str | None = None
    wish_id: str = ""

    @classmethod
    def from_input(cls, given: Any, *, by: str = "operations") -> CancelRequest:
        """Reads what a person may send with the signal: nothing, a string, or {"reason": ..., "by": ...}."""
        if isinstance(given, CancelRequest):
            return given
        wish_id = ""
        if isinstance(given, dict):
            reason = given.get("reason") or ""
            by = str(given.get("by") or given.get("actor") or by)
            text_id, wish_id = given.get("text_id"), str(given.get("wish_id") or "")[:WISH_ID_LENGTH]
        else:
            reason, text_id = given or "", None
        reason = reason if isinstance(reason, str) else str(reason)
        return cls(
            reason=reason.strip()[:REASON_LENGTH] or NO_REASON,
            by=by.strip()[:100] or "operations",
            text_id=text_id if isinstance(text_id, str) else None,
            wish_id=wish_id,
        )

    @property
    def words(self) -> str:
        """What a person wrote and was not stored as a text yet."""
        return "" if self.reason == NO_REASON else self.reason


class CancelAnswer(Message):
    """The decision on a cancel: whether it was accepted, the rule's code, and the state that it was decided in."""

    accepted: bool
    code: str
    status: OrderStatus


class RecordCancel(Message):
    """For the timeline: a cancel that was requested, granted or refused, and the code of the rule.

    `number` counts the order's wishes; it stands for the id of one that has none.
    """

    order_id: str
    number: int
    request: CancelRequest
    code: str

    @property
    def wish_id(self) -> str:
        """By which the wish is recorded once."""
        return self.request.wish_id or f"number-{self.number}"


class CloseOrder(Message):
    """The last row of an order that was undone: CANCELED or REJECTED, and why; `text_id` is a person's reason."""

    order_id: str
    status: OrderStatus
    code: str
    detail: str = ""
    by: str = "saga"
    text_id: str | None = None


class OrderClosed(Message):
    status: OrderStatus


class Attention(Message):
    """A ticket for a person: which step of which order does not get on, and what it last said."""

    order_id: str
    step: str
    kind: str = ""
    detail: str = Field(default="", max_length=2000)
