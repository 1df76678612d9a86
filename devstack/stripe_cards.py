"""Stripe's test payment methods (docs.stripe.com/testing) and what each does when it is charged.

Stripe answers with a fresh `pm_…` id for each use of a test payment method; here the name stays as it was sent.
"""

from dataclasses import dataclass
from typing import Any

from devstack.stripe_errors import missing


@dataclass(frozen=True)
class Card:
    """`code` None: the bank says yes. `authenticates`: it asks for 3-D Secure first."""

    code: str | None = None
    decline_code: str | None = None
    advice_code: str | None = None
    message: str = ""
    authenticates: bool = False


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
