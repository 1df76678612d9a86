"""Stripe's test payment methods (docs.stripe.com/testing) and what each does when it is charged."""

from dataclasses import dataclass
from typing import Any

from devstack.stripe.errors import missing


@dataclass(frozen=True)
class Card:
    """`code` None: the bank says yes. `authenticates`: it asks for 3-D Secure first, `only_at_setup` until the card
    is saved. `reviewed`: a Radar rule "review if the risk is elevated" opens a review."""

    code: str | None = None
    decline_code: str | None = None
    advice_code: str | None = None
    message: str = ""
    authenticates: bool = False
    only_at_setup: bool = False
    reviewed: bool = False


def _declined(decline_code: str, advice_code: str, message: str, code: str = "card_declined") -> Card:
    return Card(code, decline_code, advice_code, message)


_GENERIC = _declined("generic_decline", "try_again_later", "Your card was declined.")
_NO_FUNDS = _declined("insufficient_funds", "try_again_later", "Your card has insufficient funds.")
_LOST = _declined("lost_card", "do_not_try_again", "Your card was declined.")
_STOLEN = _declined("stolen_card", "do_not_try_again", "Your card was declined.")
_EXPIRED = _declined("expired_card", "do_not_try_again", "Your card has expired.", "expired_card")
_WRONG_CVC = _declined("incorrect_cvc", "confirm_card_data", "The security code is incorrect.", "incorrect_cvc")
_PROCESSING = _declined("processing_error", "try_again_later", "The card could not be processed.", "processing_error")

_CARDS = {
    "pm_card_visa": Card(),
    "pm_card_mastercard": Card(),
    "pm_card_amex": Card(),
    "pm_card_authenticationRequired": Card(authenticates=True),
    "pm_card_threeDSecure2Required": Card(authenticates=True),
    "pm_card_authenticationRequiredOnSetup": Card(authenticates=True, only_at_setup=True),
    "pm_card_riskLevelElevated": Card(reviewed=True),
    "pm_card_chargeDeclined": _GENERIC,
    "pm_card_visa_chargeDeclined": _GENERIC,
    "pm_card_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "pm_card_visa_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "pm_card_visa_chargeDeclinedLostCard": _LOST,
    "pm_card_visa_chargeDeclinedStolenCard": _STOLEN,
    "pm_card_chargeDeclinedExpiredCard": _EXPIRED,
    "pm_card_chargeDeclinedIncorrectCvc": _WRONG_CVC,
    "pm_card_chargeDeclinedProcessingError": _PROCESSING,
}

AUTHENTICATION_REQUIRED = _declined(
    "authentication_required", "try_again_later", "Your card needs authentication.", "authentication_required"
)
AUTHENTICATION_FAILED = Card(
    "payment_intent_authentication_failure", message="The customer could not be authenticated."
)


_BY_DECLINE_CODE = {
    card.decline_code: card
    for card in (_GENERIC, _NO_FUNDS, _LOST, _STOLEN, _EXPIRED, _WRONG_CVC, _PROCESSING, AUTHENTICATION_REQUIRED)
}


def card_that_declines(decline_code: str) -> Card:
    """Any of docs.stripe.com/declines/codes; what is not one of the test cards' is a `card_declined` by the bank."""
    if not decline_code.replace("_", "").isalpha():
        raise ValueError(f"{decline_code!r} is not a decline code")
    known = _BY_DECLINE_CODE.get(decline_code)
    return known or _declined(decline_code, "do_not_try_again", "Your card was declined.")


def find_card(payment_method: str) -> Card:
    if payment_method not in _CARDS:
        raise missing("PaymentMethod", payment_method, "payment_method")
    return _CARDS[payment_method]


def payment_error(card: Card, payment_method: str, charge_id: str | None, now: int) -> dict[str, Any]:
    """What becomes `last_payment_error`, and the body of the 402."""
    kind = "card_error" if card.decline_code else "invalid_request_error"
    error = {
        "advice_code": card.advice_code,
        "charge": charge_id,
        "code": card.code,
        "decline_code": card.decline_code,
        "doc_url": f"https://docs.stripe.com/error-codes#{str(card.code).replace('_', '-')}",
        "message": card.message,
        "payment_method": {
            "id": payment_method,
            "object": "payment_method",
            "created": now,
            "livemode": False,
            "type": "card",
        },
        "type": kind,
    }
    return {name: value for name, value in error.items() if value is not None}
