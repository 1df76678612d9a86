"""From an error of the Stripe SDK to what it means for the saga, as one pure function.

Sources: https://docs.stripe.com/error-low-level and https://docs.stripe.com/api/errors. A 402 is a card's refusal
where its type is `card_error`; a 400 that is about neither the payment's state nor the customer's payment method is
about what we sent, or about our account. On RateLimitError, APIError and IdempotencyError the code is in
`error.error.code`: the SDK leaves `error.code` empty there.
"""

from __future__ import annotations

import re
from datetime import timedelta

import stripe
import structlog

from adapters.stripe.declines import declined
from domain.errors import (
    BusinessRefusal,
    CallRefused,
    Misconfigured,
    OrderSagaError,
    OurFault,
    ParametersDrifted,
    PaymentDeclined,
    PaymentNotFound,
    TryAgain,
)

REPLAYED = "idempotent-replayed"
"""The header of an answer from Stripe's memory (https://docs.stripe.com/error-low-level#sending-idempotent-requests)."""

log = structlog.get_logger(__name__)

FAR_END = "stripe"
MEND = (
    "find the refused request in Stripe's dashboard (Developers, Logs); when the account or what we send is right, "
    "orders go on by themselves"
)
MAY_PASS = frozenset([408, 409, 424, 425])
"""Statuses of something that passes by itself: too slow, the key is in use, another service failed, too early."""
REFUSED = frozenset([400, 404])
"""Statuses of a request that Stripe has looked at and does not carry out."""
NOTHING_LEFT = "charge_already_refunded"
STATE_CODES = frozenset(
    [
        "payment_intent_unexpected_state",
        "charge_already_captured",
        NOTHING_LEFT,
        "charge_expired_for_capture",
    ]
)


class PaymentStateDiffers(TryAgain):
    """The PaymentIntent is not in the state that the call needs, maybe since it is done already: look at it."""

    code = "payment_state_differs"


class KeyUsedUp(TryAgain):
    """Stripe replays a 5xx that it keeps under the key: nothing that is sent with it takes effect any more.

    Any other 5xx does not tell what becomes of the call (https://docs.stripe.com/error-low-level#idempotency).
    """


class RefundRefused(BusinessRefusal):
    """Stripe refuses the request for a refund as such, so it has given nothing back; `code` is Stripe's."""


class AnswerUnreadable(TryAgain):
    """Something else than an answer of Stripe's came, e.g. a proxy's page: what became of the call is unknown."""

    code = "answer_unreadable"


def translate(error: stripe.StripeError) -> OrderSagaError:
    """What `error` means. Messages name Stripe's codes and request id, never what was sent."""
    code = _code(error)
    said = f"Stripe says {code or type(error).__name__} (HTTP {error.http_status}, request {error.request_id})"
    if isinstance(error, stripe.CardError) and getattr(error.error, "type", None) in (None, "card_error"):
        return declined(_decline_code(error), getattr(error.error, "advice_code", None))
    if isinstance(error, stripe.IdempotencyError):
        return ParametersDrifted(f"an idempotency key was used with other parameters: {said}")
    if isinstance(error, stripe.RateLimitError):
        return TryAgain(said, delay=timedelta(seconds=2))
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return Misconfigured(
            f"{said}: check STRIPE_API_KEY", far_end=FAR_END, cause=_cause(error), mend="set STRIPE_API_KEY right"
        )
    if isinstance(error, stripe.InvalidRequestError):
        if code in STATE_CODES:
            return PaymentStateDiffers(said)
        if error.param == "payment_method":
            return PaymentDeclined("payment_method_unusable", "this payment method cannot be used", operator=said)
        if error.http_status == 404:
            return PaymentNotFound(said)
    if 400 <= (error.http_status or 0) < 500 and error.http_status not in MAY_PASS:
        kind = OurFault if replayed(error) else CallRefused
        return kind(said, far_end=FAR_END, cause=_cause(error), mend=MEND)
    if replayed(error) and (error.http_status or 0) >= 500:
        return KeyUsedUp(said)
    return TryAgain(said)  # connection, 409 in use, 5xx: not executed, or unknown


def translate_refund(error: stripe.StripeError) -> OrderSagaError:
    """What `error` means for a refund that may fail: a request that Stripe refuses ends it.

    An undo's refund may not fail, so that `translate` tells what a refusal means for it.
    """
    meant = translate(error)
    if isinstance(error, stripe.InvalidRequestError) and error.http_status in REFUSED:
        return RefundRefused(error.code or "refused", str(meant))
    return meant


def replayed(error: stripe.StripeError) -> bool:
    """Whether Stripe has answered from its memory."""
    return {name.lower(): value for name, value in (error.headers or {}).items()}.get(REPLAYED) == "true"


def _cause(error: stripe.StripeError) -> str:
    """The same text for every order that meets it: names of codes and parameters, no ids, nothing that was sent."""
    about = named(getattr(error, "param", None))
    return f"Stripe HTTP {error.http_status} {named(_code(error))}".rstrip() + (f" about {about}" if about else "")


def named(word: str | None) -> str:
    """A far end's code or parameter as part of a cause: empty where it may be anything else than a name."""
    return word if word and re.fullmatch(r"[A-Za-z_.\[\]]{1,60}", word) else ""


def _code(error: stripe.StripeError) -> str | None:
    return error.code or getattr(error.error, "code", None)


def _decline_code(error: stripe.CardError) -> str:
    return getattr(error.error, "decline_code", None) or error.code or "card_declined"


UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
"""What reading an answer raises that has not the shape of Stripe's."""


def unreadable(error: Exception) -> AnswerUnreadable:
    log.warning("answer of Stripe not readable", error=type(error).__name__)
    return AnswerUnreadable(f"Stripe's answer cannot be read ({type(error).__name__})")
