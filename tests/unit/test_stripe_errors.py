"""Every row of the table of Stripe's errors (https://docs.stripe.com/error-low-level), as the SDK raises them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import stripe

from adapters.stripe.connection import text_of, translated
from adapters.stripe.declines import (
    CUSTOMER_MESSAGES,
    FINAL,
    GENERIC_MESSAGE,
    OPERATOR_MESSAGES,
    PLAIN_CODE,
    declined,
)
from adapters.stripe.errors import (
    NOTHING_LEFT,
    STATE_CODES,
    AnswerUnreadable,
    KeyUsedUp,
    PaymentStateDiffers,
    RefundRefused,
    translate,
    translate_refund,
)
from domain.errors import (
    CallRefused,
    Misconfigured,
    OrderSagaError,
    OurFault,
    ParametersDrifted,
    PaymentDeclined,
    PaymentNotFound,
    TryAgain,
)

SECRET = "4242424242424242"  # stands for whatever a message of Stripe's may quote


def _error(kind: type[stripe.StripeError], status: int | None, param: str | None = None, **body: Any) -> Any:
    """An error as the SDK builds it from an answer."""
    whole = {"error": {"message": f"quotes {SECRET}", **body}}
    common: dict[str, Any] = {"http_body": json.dumps(whole), "http_status": status, "json_body": whole}
    common["headers"] = {"request-id": "req_1"}
    message, code = whole["error"]["message"], body.get("code")
    build: Any = kind  # the SDK leaves its errors untyped
    if kind in (stripe.CardError, stripe.InvalidRequestError):
        return build(message, param, code, **common)
    return build(message, **common)


def _no_answer() -> Any:
    build: Any = stripe.APIConnectionError
    return build(f"timed out {SECRET}")


STATE = "payment_intent_unexpected_state"

ROWS: list[tuple[str, Any, type[OrderSagaError], str]] = [
    ("no answer", _no_answer(), TryAgain, "try_again"),
    ("twin in flight", _error(stripe.APIError, 409, code="idempotency_key_in_use"), TryAgain, "try_again"),
    ("too many requests", _error(stripe.RateLimitError, 429, code="rate_limit"), TryAgain, "try_again"),
    ("lock timeout", _error(stripe.RateLimitError, 429, code="lock_timeout"), TryAgain, "try_again"),
    ("500", _error(stripe.APIError, 500), TryAgain, "try_again"),
    ("503", _error(stripe.APIError, 503), TryAgain, "try_again"),
    (
        "done already?",
        _error(stripe.InvalidRequestError, 400, code=STATE),
        PaymentStateDiffers,
        "payment_state_differs",
    ),
    ("bad parameter", _error(stripe.InvalidRequestError, 400, "amount"), CallRefused, "our_fault"),
    ("account blocked", _error(stripe.InvalidRequestError, 400, code="account_invalid"), CallRefused, "our_fault"),
    ("402 without a card", _error(stripe.CardError, 402, type="invalid_request_error"), CallRefused, "our_fault"),
    ("a 4xx of tomorrow", _error(stripe.APIError, 451), CallRefused, "our_fault"),
    ("another service failed", _error(stripe.APIError, 424), TryAgain, "try_again"),
    ("not found", _error(stripe.InvalidRequestError, 404, "intent"), PaymentNotFound, "payment_not_found"),
    ("key of another call", _error(stripe.IdempotencyError, 400), ParametersDrifted, "parameters_drifted"),
    ("bad key", _error(stripe.AuthenticationError, 401), Misconfigured, "misconfigured"),
    ("key may not", _error(stripe.PermissionError, 403), Misconfigured, "misconfigured"),
    ("500 saved under the key", _error(stripe.APIError, 500, type="api_error"), TryAgain, "try_again"),
    ("captured already", _error(stripe.InvalidRequestError, 400, code="charge_already_captured"), PaymentStateDiffers,
     "payment_state_differs"),
    ("refunded already", _error(stripe.InvalidRequestError, 400, code="charge_already_refunded"), PaymentStateDiffers,
     "payment_state_differs"),
    ("another's method", _error(stripe.InvalidRequestError, 400, "payment_method"), PaymentDeclined,
     "payment_method_unusable"),
    ("declined", _error(stripe.CardError, 402, code="card_declined"), PaymentDeclined, "card_declined"),
    ("declined with a reason", _error(stripe.CardError, 402, code="card_declined", decline_code="do_not_honor"),
     PaymentDeclined, "do_not_honor"),
    ("nobody to authenticate", _error(stripe.CardError, 402, code="authentication_required"), PaymentDeclined,
     "authentication_required"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "code"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_says_what_an_error_of_stripe_means(error: Any, kind: type[OrderSagaError], code: str) -> None:
    """Retry, look, refuse, be loud, or wait for a person; and Stripe's words, which may quote the card, stay out."""
    meaning = translate(error)
    assert type(meaning) is kind
    assert meaning.code == code
    assert SECRET not in str(meaning)


@pytest.mark.parametrize(
    ("param", "code", "cause"),
    [
        ("amount", "parameter_invalid_integer", "Stripe HTTP 400 parameter_invalid_integer about amount"),
        ("metadata[order_id]", None, "Stripe HTTP 400 about metadata[order_id]"),
        (None, None, "Stripe HTTP 400"),
        (SECRET, f"no_such_{SECRET}", "Stripe HTTP 400"),
    ],
)
def test_a_cause_is_the_same_text_for_every_order(param: str | None, code: str | None, cause: str) -> None:
    """Names of codes and parameters only: it is a ticket's subject and a metric's label."""
    meaning = translate(_error(stripe.InvalidRequestError, 400, param, code=code))
    assert isinstance(meaning, OurFault)
    assert (meaning.far_end, meaning.cause, bool(meaning.mend)) == ("stripe", cause, True)


def test_a_refusal_from_stripes_memory_says_nothing_of_what_is_sent_today() -> None:
    """Only a fresh one proves that the call as it is has not taken effect."""
    error = _error(stripe.InvalidRequestError, 400, "amount")
    error.headers["Idempotent-Replayed"] = "true"
    assert type(translate(error)) is OurFault


def test_a_replayed_500_tells_that_its_key_is_used_up() -> None:
    """Any other 500 leaves open what becomes of the call."""
    error = _error(stripe.APIError, 500)
    error.headers["Idempotent-Replayed"] = "true"
    assert type(translate(error)) is KeyUsedUp


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (_error(stripe.InvalidRequestError, 400, "amount"), RefundRefused, "refused"),
        (_error(stripe.InvalidRequestError, 400, code=NOTHING_LEFT), RefundRefused, NOTHING_LEFT),
        (_error(stripe.InvalidRequestError, 404, "id", code="resource_missing"), RefundRefused, "resource_missing"),
        (_error(stripe.PermissionError, 403), Misconfigured, "misconfigured"),
        (_error(stripe.APIError, 451), CallRefused, "our_fault"),
        (_error(stripe.APIError, 500), TryAgain, "try_again"),
    ],
)
def test_a_refund_may_fail_where_a_payment_waits_for_a_mended_fault(
    error: Any, kind: type[OrderSagaError], code: str
) -> None:
    """A request that Stripe has looked at and refuses; whatever else it says means the same as for a payment."""
    meaning = translate_refund(error)
    assert (type(meaning), meaning.code) == (kind, code)
    assert SECRET not in str(meaning)


@pytest.mark.parametrize("broken", [AttributeError, KeyError, TypeError, ValueError])
async def test_an_answer_that_is_none_of_stripes_is_an_outcome_that_is_not_known(broken: type[Exception]) -> None:
    """A proxy's page, JSON without an id: tried again with the same key, and never an error that is not ours."""
    with pytest.raises(AnswerUnreadable):
        async with translated():
            raise broken(SECRET)
    with pytest.raises(TypeError):
        text_of(None)


@pytest.mark.parametrize("code", sorted(STATE_CODES))
def test_looks_at_a_payment_that_may_be_done_already(code: str) -> None:
    """Captured, refunded or expired meanwhile: not a mistake before somebody has looked."""
    assert isinstance(translate(_error(stripe.InvalidRequestError, 400, code=code)), PaymentStateDiffers)


def test_a_rate_limit_names_a_delay_and_nothing_else_does() -> None:
    """Hammering makes it worse; other errors follow the engine's own backoff."""
    limited, broken = translate(ROWS[2][1]), translate(ROWS[4][1])
    assert isinstance(limited, TryAgain) and limited.delay == timedelta(seconds=2)
    assert isinstance(broken, TryAgain) and broken.delay is None


@pytest.mark.parametrize(
    ("decline_code", "told"),
    [
        ("insufficient_funds", "insufficient funds"),
        ("expired_card", "expired"),
        ("incorrect_cvc", "security code"),
        ("authentication_required", "authentication"),
        ("lost_card", GENERIC_MESSAGE),
        ("stolen_card", GENERIC_MESSAGE),
        ("fraudulent", GENERIC_MESSAGE),
        ("a_code_of_tomorrow", GENERIC_MESSAGE),
    ],
)
def test_tells_the_customer_no_more_than_is_good(decline_code: str, told: str) -> None:
    """What the customer can mend is told; that a card is reported stolen is not."""
    declined = translate(_error(stripe.CardError, 402, code="card_declined", decline_code=decline_code))
    assert isinstance(declined, PaymentDeclined)
    assert declined.code == (PLAIN_CODE if decline_code in FINAL else decline_code)
    assert told in declined.detail
    assert decline_code not in declined.detail or told != GENERIC_MESSAGE


def test_a_message_names_code_status_and_request() -> None:
    """Enough to find the request in Stripe's dashboard."""
    said = str(translate(_error(stripe.APIError, 409, code="idempotency_key_in_use")))
    assert ("idempotency_key_in_use" in said, "409" in said, "req_1" in said) == (True, True, True)


@pytest.mark.parametrize("code", sorted(FINAL))
def test_an_operator_learns_what_the_customer_must_not(code: str) -> None:
    """Lost, stolen, wanted back, suspected: nothing is told, nothing is retried, no other card is offered."""
    error = _error(stripe.CardError, 402, code="card_declined", decline_code=code, advice_code="try_again_later")
    refused = translate(error)
    assert isinstance(refused, PaymentDeclined)
    assert (refused.final, refused.detail, str(refused)) == (True, GENERIC_MESSAGE, GENERIC_MESSAGE)
    assert refused.code == PLAIN_CODE
    assert "Do not tell the customer; do not retry" in refused.operator
    assert "may work later" not in refused.operator


@pytest.mark.parametrize("code", sorted(OPERATOR_MESSAGES.keys() | CUSTOMER_MESSAGES.keys()))
def test_every_decline_tells_an_operator_what_to_do(code: str) -> None:
    """A whole sentence, without what Stripe's own message may quote; only the final ones end the offer of a card."""
    refused = translate(_error(stripe.CardError, 402, code="card_declined", decline_code=code))
    assert isinstance(refused, PaymentDeclined)
    assert code in OPERATOR_MESSAGES
    assert refused.operator.startswith(OPERATOR_MESSAGES[code])
    assert refused.operator.endswith(".")
    assert SECRET not in refused.operator
    assert refused.final == (code in FINAL)


@pytest.mark.parametrize(
    ("advice_code", "said"),
    [
        ("do_not_try_again", "do not retry this card"),
        ("confirm_card_data", "confirm the card's data"),
        ("try_again_later", "may work later"),
        (None, "use another card."),
        ("advice_of_tomorrow", "use another card."),
    ],
)
def test_stripes_advice_reaches_the_operator(advice_code: str | None, said: str) -> None:
    """Beside what the decline code says; a card that should not be retried does not forbid another one."""
    body = {"code": "card_declined", "decline_code": "generic_decline", "advice_code": advice_code}
    refused = translate(_error(stripe.CardError, 402, **body))
    assert isinstance(refused, PaymentDeclined)
    assert said in refused.operator
    assert not refused.final


def test_an_unknown_code_is_named_to_the_operator_only() -> None:
    """Stripe adds codes; the customer hears what is always true."""
    refused = declined("a_code_of_tomorrow")
    assert "a_code_of_tomorrow" in refused.operator
    assert (refused.detail, refused.final) == (GENERIC_MESSAGE, False)
