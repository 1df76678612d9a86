"""What can go wrong, as the rest of the project speaks of it.

OrderSagaError
├── BusinessRefusal            an answer, not a failure: undo and tell the customer; never run twice
│   ├── OutOfStock
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
└── RequestRefused             the API's client asked for something impossible; carries the HTTP status
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any


class OrderSagaError(Exception):
    """Base of all errors of this project; `code` is stable and safe to show."""

    code = "error"


class BusinessRefusal(OrderSagaError):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class OutOfStock(BusinessRefusal):
    def __init__(self, product_ids: list[str]) -> None:
        super().__init__("out_of_stock", f"not enough stock of {', '.join(product_ids)}")
        self.product_ids = product_ids


class PaymentDeclined(BusinessRefusal):
    """`final`: no other card should be offered. `operator` says what to do, and is never shown to the customer."""

    def __init__(self, code: str, detail: str, *, operator: str = "", final: bool = False) -> None:
        super().__init__(code, detail)
        self.operator = operator
        self.final = final


class CaptureRefused(BusinessRefusal): ...


class ShipmentRefused(BusinessRefusal): ...


class ReturnRefused(BusinessRefusal): ...


class TryAgain(OrderSagaError):
    code = "try_again"

    def __init__(self, detail: str, delay: timedelta | None = None) -> None:
        super().__init__(detail)
        self.delay = delay


class OnItsWay(TryAgain):
    code = "on_its_way"


class OurMistake(OrderSagaError):
    code = "our_mistake"


class ParametersDrifted(OurMistake):
    code = "parameters_drifted"


class PaymentNotFound(OurMistake):
    code = "payment_not_found"


class ShipmentNotFound(OurMistake):
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
    code = "misconfigured"


class StepUndone(OrderSagaError):
    code = "step_undone"


class RequestRefused(OrderSagaError):
    """A request that cannot be served as it is.

    `status` is the HTTP status, `code` the last part of the problem's type, `errors` names the bad fields as
    {"field": JSON path, "message": words}, `members` are further members of the problem (RFC 9457 section 3.2).
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors or []
        self.members = members


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
