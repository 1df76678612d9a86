"""The messages between API, workflows and activities: ids, amounts and decisions, never personal data.

Workflow histories keep them for months: a field is never renamed or removed, and a new one has a default.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.card_numbers import mask_card_numbers
from domain.money import Money
from domain.order_states import OrderStatus
from domain.processes import Process

REASON_LENGTH = 500
NO_REASON = "requested"
WISH_ID_LENGTH = 100
PROOF_LENGTH = 100


class Message(BaseModel):
    """The base of everything that is stored in a workflow history: a value that nobody changes."""

    model_config = ConfigDict(frozen=True)


class FulfillOrder(Message):
    """The input of the workflow `OrderFulfillment`; its durations are the settings at the moment of the checkout."""

    order_id: str
    customer_id: str
    total: Money
    ship_not_before: datetime | None = None
    grace_period: timedelta = timedelta(0)
    payment_retry_window: timedelta = timedelta(0)
    customer_patience: timedelta | None = None  # for 3-D Secure; None of an order from before it was a setting
    process: Process = Process.FIRST  # also of an order from before there were several

    def ship_at(self, confirmed_at: datetime) -> datetime:
        """When shipping may begin: the end of the grace period or `ship_not_before`, whichever is later."""
        ready = confirmed_at + self.grace_period
        return max(ready, self.ship_not_before) if self.ship_not_before else ready


class OrderRef(Message):
    """The argument of a step that needs only the order's id.

    With `look_again` an undo that is done already asks the far end once more, for an effect that arrived after it.
    """

    order_id: str
    look_again: bool = False


class PaymentTry(OrderRef):
    """One round of an order's payment: the card of the checkout (round 1), another card, a renewed authorization.

    `payment_method` is a Stripe id, None for the one that the order was placed with. `keep_card` saves it for
    renewals without the customer. With `retry_until` a card that is declined leaves the order waiting for another
    one. `renew` asks for a new authorization although the present one still holds. `proof` is the API's signature
    under `payment_method`.
    """

    round: int = 1
    payment_method: str | None = None
    keep_card: bool = False
    retry_until: datetime | None = None
    renew: bool = False
    proof: str = ""


class NewPaymentMethod(Message):
    """What a customer offers after a decline: the id of a Stripe payment method (`pm_...`), with the API's proof."""

    payment_method: str
    proof: str = ""


class CheckoutAnswer(Message):
    """What a checkout waits for: CONFIRMED, REJECTED (`code` says why), AWAITING_CUSTOMER, or a state of a cancel."""

    status: OrderStatus
    code: str = ""


class AuthorizationState(StrEnum):
    """How a round of a payment stands after the bank was asked."""

    AUTHORIZED = "authorized"
    REQUIRES_ACTION = "requires_action"
    DECLINED = "declined"  # and another payment method may be offered


class Hold(StrEnum):
    """Why goods that have not shipped stay in the warehouse although the order is paid for."""

    REVIEW = "review"
    DISPUTE = "dispute"
    REFUNDED = "refunded"  # somebody gave all of it back at Stripe


class Authorization(Message):
    """The result of a round: what the customer's bank said.

    `code` and `detail` are a decline in words for the customer; `capture_before` is the end of the authorization as
    Stripe gives it (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method).
    """

    state: AuthorizationState
    round: int = 1
    code: str = ""
    detail: str = ""
    capture_before: datetime | None = None
    hold: Hold | None = None


class Label(Message):
    """A label that was bought: the carrier's name and its tracking number, as EasyPost gives them."""

    carrier: str
    tracking_number: str


class ParcelStatus(StrEnum):
    """Where the carrier says the parcel is, spelled as in https://docs.easypost.com/docs/trackers."""

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
        """Whether the carrier has had the parcel in its hands: then it has left and cannot be called back."""
        return _WAY.index(self) >= _WAY.index(ParcelStatus.IN_TRANSIT)

    @property
    def lost(self) -> bool:
        """Whether the parcel will not reach its customer by itself."""
        return self in (ParcelStatus.RETURNED, ParcelStatus.FAILURE)

    def then(self, news: ParcelStatus) -> ParcelStatus:
        """The later of this status and `news`: webhooks and polls overtake each other, but a parcel moves on only."""
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
    """What the activity `check_shipment` answers: how far the parcel has come."""

    status: ParcelStatus


class CancelRequest(Message):
    """A wish to cancel: by whom and why.

    The API stores the reason as a text and sends its id, `text_id`. `reason` holds a person's own words (500
    characters at most) only in a signal, Temporal's own cancellation, or an update that was sent by hand.

    `wish_id` is the same in every form in which one wish arrives (update, signal, a repeat of either), so that the
    wish is decided and recorded once. It is empty for a signal that a person typed: each of these is a new wish.

    `proof` is the API's signature under `by`; `claimed` says that the wish came from outside of the workflow, so that
    `by` is believed only with a proof (`services/identities/actors.py`).
    """

    reason: str = NO_REASON
    by: str = "operations"
    text_id: str | None = None
    wish_id: str = ""
    proof: str = ""
    claimed: bool = False

    @classmethod
    def from_input(cls, given: Any, *, by: str = "operations") -> CancelRequest:
        """Reads what a person may send with the signal: nothing, a string, or {"reason": ..., "by": ...}.

        It refuses nothing, since nobody would hear a signal's refusal: what is too long is cut, card numbers masked.
        """
        if isinstance(given, CancelRequest):
            return given
        wish_id = proof = ""
        if isinstance(given, dict):
            reason = given.get("reason") or ""
            by = str(given.get("by") or given.get("actor") or by)
            text_id, wish_id = given.get("text_id"), str(given.get("wish_id") or "")[:WISH_ID_LENGTH]
            proof = str(given.get("proof") or "")[:PROOF_LENGTH]
        else:
            reason, text_id = given or "", None
        return cls(
            reason=mask_card_numbers(str(reason).strip()[:REASON_LENGTH]) or NO_REASON,
            by=mask_card_numbers(by.strip()[:100]) or "operations",
            text_id=text_id if isinstance(text_id, str) else None,
            wish_id=wish_id,
            proof=proof,
        )

    def from_outside(self) -> CancelRequest:
        """The wish as one that somebody has sent."""
        return self.model_copy(update={"claimed": True})

    @property
    def who(self) -> dict[str, Any]:
        """The fields of `CloseOrder` that say whose wish is carried out."""
        return self.model_dump(include={"by", "text_id", "wish_id", "proof", "claimed"})

    @property
    def words(self) -> str:
        """A person's own words that are not stored as a text yet; empty when there are none."""
        return "" if self.reason == NO_REASON else self.reason


class CancelAnswer(Message):
    """The decision on a cancel: the code of its rule in `domain/cancellation.py`, and the order's state then."""

    accepted: bool
    code: str
    status: OrderStatus


class RecordCancel(Message):
    """A cancel for the timeline: requested, accepted or refused, with the code of its rule.

    `number` counts the order's wishes from 1; it takes the place of the id of a wish that has none.
    """

    order_id: str
    number: int
    request: CancelRequest
    code: str

    @property
    def wish_id(self) -> str:
        """The key under which the wish is recorded once."""
        return self.request.wish_id or f"number-{self.number}"


class CloseOrder(Message):
    """The end of an undone order: CANCELED or REJECTED, and why; `text_id` names the text with a person's reason.

    The order's row decides between the two (docs/decisions/0002-the-row-decides.md).
    """

    order_id: str
    status: OrderStatus
    code: str
    detail: str = ""
    by: str = "saga"
    text_id: str | None = None
    wish_id: str = ""  # of the wish that is carried out, like what follows
    proof: str = ""
    claimed: bool = False


class OrderClosed(Message):
    """In which state an order has really ended; the answer to `CloseOrder`."""

    status: OrderStatus


class Attention(Message):
    """A ticket to be opened for a person: which step of which order does not succeed, and its last error."""

    order_id: str
    step: str
    kind: str = ""
    detail: str = Field(default="", max_length=2000)
