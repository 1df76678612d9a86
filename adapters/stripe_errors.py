"""From an error of the Stripe SDK to what it means for the saga, as one pure function.

Sources: https://docs.stripe.com/error-low-level and https://docs.stripe.com/api/errors. On RateLimitError, APIError
and IdempotencyError the code is in `error.error.code`: the SDK leaves `error.code` empty there.
"""

from __future__ import annotations

from datetime import timedelta

import stripe

from adapters.stripe_declines import declined
from domain.errors import Misconfigured, OrderSagaError, OurMistake, ParametersDrifted, PaymentDeclined, TryAgain

STATE_CODES = frozenset(
    [
        "payment_intent_unexpected_state",
        "charge_already_captured",
        "charge_already_refunded",
        "charge_expired_for_capture",
    ]
)


class PaymentStateDiffers(TryAgain):
    """The PaymentIntent is not in the state that the call needs, maybe since it is done already: look at it."""

    code = "payment_state_differs"


class PaymentNotFound(OurMistake):
    code = "payment_not_found"


def translate(error: stripe.StripeError) -> OrderSagaError:
    """What `error` means. Messages name Stripe's codes and request id, never what was sent."""
    code = _code(error)
    said = f"Stripe says {code or type(error).__name__} (HTTP {error.http_status}, request {error.request_id})"
    if isinstance(error, stripe.CardError):
        return declined(_decline_code(error), getattr(error.error, "advice_code", None))
    if isinstance(error, stripe.IdempotencyError):
        return ParametersDrifted(f"an idempotency key was used with other parameters: {said}")
    if isinstance(error, stripe.RateLimitError):
        return TryAgain(said, delay=timedelta(seconds=2))
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return Misconfigured(f"{said}: check STRIPE_API_KEY")
    if isinstance(error, stripe.InvalidRequestError):
        if code in STATE_CODES:
            return PaymentStateDiffers(said)
        if error.param == "payment_method":
            return PaymentDeclined("payment_method_unusable", "this payment method cannot be used", operator=said)
        return PaymentNotFound(said) if error.http_status == 404 else OurMistake(f"{said} about {error.param}")
    return TryAgain(said)  # connection, 409 in use, 5xx: not executed, or unknown


def _code(error: stripe.StripeError) -> str | None:
    return error.code or getattr(error.error, "code", None)


def _decline_code(error: stripe.CardError) -> str:
    return getattr(error.error, "decline_code", None) or error.code or "card_declined"
