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
├── OurMistake                 a far end refuses what we sent: do not repeat, be loud
│   └── ParametersDrifted      an idempotency key was used for something else
├── Misconfigured              401 or 403 of a far end: wait for a person, undo nothing
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


class Misconfigured(OrderSagaError):
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
