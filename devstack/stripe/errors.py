"""Errors in Stripe's JSON shape (docs.stripe.com/api/errors), one constructor for each that the simulator gives.

`saved` says whether the idempotency layer keeps the answer: refused parameters and unknown objects are not kept, an
outcome of an execution (a decline, a wrong state) is.
"""

from typing import Any


class StripeFailure(Exception):
    """An error answer. What was written before it was raised stays written: a decline changes its PaymentIntent."""

    def __init__(self, status: int, error: dict[str, Any], *, saved: bool = False) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.body = {"error": {key: value for key, value in error.items() if value is not None}}
        self.saved = saved


def invalid_request(
    message: str, *, code: str | None = None, param: str | None = None, saved: bool = False
) -> StripeFailure:
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": param, "doc_url": _doc(code)}
    return StripeFailure(400, error, saved=saved)


def missing(kind: str, object_id: str, param: str) -> StripeFailure:
    """404 for the object in the path, 400 for one named in a parameter."""
    message = f"No such {kind}: '{object_id}'"
    error = {"type": "invalid_request_error", "code": "resource_missing", "message": message, "param": param}
    return StripeFailure(404 if param in ("id", "intent") else 400, error | {"doc_url": _doc("resource_missing")})


def unexpected_state(intent: dict[str, Any], verb: str) -> StripeFailure:
    code = "payment_intent_unexpected_state"
    message = f"This PaymentIntent could not be {verb}: its status is {intent['status']}."
    error = {"type": "invalid_request_error", "code": code, "message": message, "payment_intent": intent}
    return StripeFailure(400, error | {"doc_url": _doc(code)}, saved=True)


def card_declined(intent: dict[str, Any], last_error: dict[str, Any]) -> StripeFailure:
    return StripeFailure(402, last_error | {"payment_intent": intent}, saved=True)


def unauthorized(message: str) -> StripeFailure:
    return StripeFailure(401, {"type": "invalid_request_error", "message": message})


def forbidden(message: str) -> StripeFailure:
    return StripeFailure(403, {"type": "invalid_request_error", "message": message})


def charge_disputed(charge_id: str) -> StripeFailure:
    message = f"Charge {charge_id} has been charged back; cannot issue a refund."
    return invalid_request(message, code="charge_disputed", saved=True)


def unknown_url(method: str, path: str) -> StripeFailure:
    return StripeFailure(
        404, {"type": "invalid_request_error", "message": f"Unrecognized request URL ({method}: {path})."}
    )


def rate_limited() -> StripeFailure:
    message = "Too many requests in too little time. Try again with backoff."
    return StripeFailure(429, {"type": "invalid_request_error", "code": "rate_limit", "message": message})


def refused(status: int, code: str | None) -> StripeFailure:
    """Nothing that was sent, and no card, is named: what refuses is the account or a rule that we do not know."""
    message = "This request is refused (simulated)."
    return StripeFailure(status, {"type": "invalid_request_error", "code": code, "message": message})


def server_error() -> StripeFailure:
    return StripeFailure(
        500, {"type": "api_error", "message": "Something went wrong at our end (simulated)."}, saved=True
    )


def key_in_use(key: str) -> StripeFailure:
    message = f"Another request with the idempotency key '{key}' is being executed. Try again in a moment."
    return StripeFailure(409, {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message})


def key_reused(key: str) -> StripeFailure:
    message = f"The idempotency key '{key}' was first used with other parameters or on another endpoint."
    return StripeFailure(400, {"type": "idempotency_error", "message": message})


def _doc(code: str | None) -> str | None:
    return f"https://docs.stripe.com/error-codes#{code.replace('_', '-')}" if code else None
