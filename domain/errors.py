"""What can go wrong, as the rest of the project speaks of it.

OrderSagaError
├── BusinessRefusal            an answer, not a failure: undo and tell the customer; never run twice
│   ├── OutOfStock
│   ├── CouponRefused
│   ├── PaymentDeclined
│   ├── CaptureRefused
│   ├── ShipmentRefused
│   └── ReturnRefused          money that cannot go back by itself: a person decides
├── TryAgain                   429, 5xx, connection, not settled yet: retry, after `delay` where one is named
│   └── OnItsWay               a far end has accepted it and needs its time: nothing is wrong
├── OurMistake                 a bug about this one order: do not repeat, be loud, a person decides
│   ├── ParametersDrifted      an idempotency key was used for something else
│   ├── PaymentNotFound        Stripe does not know the PaymentIntent that we saved
│   └── ShipmentNotFound       the carrier does not know the shipment that we saved
├── OurFault                   about us, not about this order: wait until it is mended, undo nothing, be loud
│   ├── CallRefused            a 4xx that we do not know, about what we sent: it may be sent otherwise
│   └── Misconfigured          401 or 403 of a far end
├── StepUndone                 the step's undo came first: a late attempt stops here
└── Refused                    what somebody asks of us cannot be done: an answer to whoever asks, with a code
    ├── InvalidInput           what is asked for is wrong in itself: ask for something else
    ├── NotFound               it is about something that does not exist, or not for them
    ├── Unauthenticated        it is not known who asks
    ├── Forbidden              whoever asks may not do this to anything
    ├── Conflict               it does not fit how things stand now
    ├── Stale                  it was meant for an earlier version than there is now
    ├── PaymentRequired        the payment did not go through: another payment method may
    ├── TooMany                they have asked too often: ask again after a while
    └── Unavailable            it cannot be done right now: ask again later
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple


class OrderSagaError(Exception):
    """Base of all errors of this project; `code` is stable and safe to show."""

    code = "error"


class BusinessRefusal(OrderSagaError):
    """A step's answer that ends the order: `code` names the reason, `detail` says it to the customer."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class OutOfStock(BusinessRefusal):
    """At least one line wants more pieces than are free; nothing was reserved."""

    def __init__(self, product_ids: list[str]) -> None:
        super().__init__("out_of_stock", f"not enough stock of {', '.join(product_ids)}")
        self.product_ids = product_ids


class CouponRefused(BusinessRefusal):
    """A coupon of the order was used up by others, or by its customer, since the order was placed."""


class PaymentDeclined(BusinessRefusal):
    """`final`: no other card should be offered. `operator` says what to do, and is never shown to the customer."""

    def __init__(self, code: str, detail: str, *, operator: str = "", final: bool = False) -> None:
        super().__init__(code, detail)
        self.operator = operator
        self.final = final


class CaptureRefused(BusinessRefusal):
    """Stripe refuses to take the authorized money, and will not take it later."""


class ShipmentRefused(BusinessRefusal):
    """The carrier sells no label for this parcel, e.g. for its address."""


class ReturnRefused(BusinessRefusal):
    """Stripe does not give the money back by itself: a person decides what happens to it."""


class TryAgain(OrderSagaError):
    """The attempt had no outcome; the same step again may have one, at the earliest after `delay`."""

    code = "try_again"

    def __init__(self, detail: str, delay: timedelta | None = None) -> None:
        super().__init__(detail)
        self.delay = delay


class OnItsWay(TryAgain):
    """A far end has accepted the call and has not finished it; nothing is wrong."""

    code = "on_its_way"


class OurMistake(OrderSagaError):
    """What we know of this one order is wrong: a repeat cannot succeed, a person decides."""

    code = "our_mistake"


class ParametersDrifted(OurMistake):
    """Stripe has seen the idempotency key with other parameters
    (https://docs.stripe.com/api/idempotent_requests)."""

    code = "parameters_drifted"


class PaymentNotFound(OurMistake):
    """Stripe does not know the PaymentIntent that we saved."""

    code = "payment_not_found"


class ShipmentNotFound(OurMistake):
    """The carrier does not know the shipment that we saved."""

    code = "shipment_not_found"


class OurFault(OrderSagaError):
    """Every order that comes this way meets the same, e.g. a carrier's account without funds.

    `far_end` is who refuses, `cause` a short text that is the same for all orders that meet it (no ids in it), `mend`
    says what to do about it. The message may say more, e.g. the request's id, but nothing of what was sent.
    """

    code = "our_fault"

    def __init__(self, detail: str, *, far_end: str = "service", cause: str = "", mend: str = "") -> None:
        super().__init__(detail)
        self.far_end = far_end
        self.cause = cause or self.code
        self.mend = mend


class CallRefused(OurFault):
    """The far end refuses what was sent, freshly, not from its memory: this send has not taken effect."""


class Misconfigured(OurFault):
    """A far end does not accept our credentials (401), or they do not allow the call (403)."""

    code = "misconfigured"


class StepUndone(OrderSagaError):
    """The undo of this step has run already, so that a late attempt of the step must not take effect."""

    code = "step_undone"


class BadField(NamedTuple):
    """A field that is wrong; `name` is its path in what was asked for, like `items[0].product_id`."""

    name: str
    message: str


class Refused(OrderSagaError):
    """What somebody asks of a service cannot be done; the subclass says in which way, `code` exactly why.

    `code` is stable and in snake_case, `detail` says it to people, `fields` names the fields that are wrong.
    `members` are further facts by their names in snake_case, for a program that has to react.
    """

    def __init__(self, code: str, detail: str, *, fields: Iterable[BadField] = (), **members: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.fields = tuple(fields)
        self.members = members


class InvalidInput(Refused):
    """What is asked for is wrong in itself, whatever the state of the shop: the same again is refused again."""


class NotFound(Refused):
    """What is asked for is about something that does not exist."""


class Unauthenticated(Refused):
    """It is not known who asks: a token or a key is missing, or proves nothing."""


class Forbidden(Refused):
    """It is known who asks, and they may not do this, whatever it is about."""


class Conflict(Refused):
    """What is asked for does not fit how things stand now, e.g. the state of the order."""


class Stale(Refused):
    """What is asked for was meant for an earlier version of what there is now: look again, then ask again."""


class PaymentRequired(Refused):
    """The payment did not go through: the customer needs another payment method."""


class TooMany(Refused):
    """Whoever asks has asked too often, or too much has gone wrong for them. Ask again after `retry_after`.

    `limit`: how often they may ask.
    """

    def __init__(self, code: str, detail: str, *, retry_after: timedelta, limit: int) -> None:
        super().__init__(code, detail)
        self.retry_after, self.limit = retry_after, limit


class Unavailable(Refused):
    """It cannot be done right now, whatever was asked for. Ask again, after `retry_after` if that is given."""

    def __init__(self, code: str, detail: str, *, retry_after: timedelta | None = None, **members: Any) -> None:
        super().__init__(code, detail, **members)
        self.retry_after = retry_after


def bad_fields(messages: dict[str, str]) -> InvalidInput:
    """The refusal of fields that are wrong: what is wrong with each, by its name."""
    named = [BadField(name, message) for name, message in messages.items()]
    return InvalidInput("invalid_request", "the request has bad fields", fields=named)


ENDS_BY_OUR_FAULT = frozenset(
    [
        OurFault.code,
        Misconfigured.code,
        OurMistake.code,
        ParametersDrifted.code,
        PaymentNotFound.code,
        ShipmentNotFound.code,
    ]
)
"""The codes of orders that would end because of us, whoever says so: the brake counts them."""

OUR_MISTAKES = frozenset([OurMistake.code, ParametersDrifted.code, PaymentNotFound.code, ShipmentNotFound.code])
"""With these a step refuses to go on for a reason that its customer has nothing to do with."""
