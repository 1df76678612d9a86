"""What a decline means: words for the customer, words for the operator, and whether another card may be offered.

Source: https://docs.stripe.com/declines/codes and, for advice codes, https://docs.stripe.com/declines/card. The
customer never learns that a card is reported lost, stolen or suspected: the person at the checkout may be the thief.
"""

from __future__ import annotations

from domain.errors import PaymentDeclined

GENERIC_MESSAGE = "the card was declined"
_LATER = "the card could not be processed; it may work later"

CUSTOMER_MESSAGES = {
    "insufficient_funds": "the card has insufficient funds",
    "expired_card": "the card has expired",
    "incorrect_cvc": "the card's security code is wrong",
    "invalid_cvc": "the card's security code is wrong",
    "incorrect_number": "the card number is wrong",
    "invalid_number": "the card number is wrong",
    "invalid_expiry_month": "the card's expiry date is wrong",
    "invalid_expiry_year": "the card's expiry date is wrong",
    "incorrect_zip": "the postal code does not belong to the card",
    "currency_not_supported": "the card does not take this currency",
    "card_not_supported": "the card does not take this kind of payment",
    "card_velocity_exceeded": "the card's limit is reached",
    "withdrawal_count_limit_exceeded": "the card's limit is reached",
    "processing_error": _LATER,
    "issuer_not_available": _LATER,
    "reenter_transaction": _LATER,
    "try_again_later": _LATER,
    "authentication_required": "the card needs an authentication that was not given",
    "payment_intent_authentication_failure": "the card needs an authentication that was not given",
}

FINAL = frozenset(["fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "stolen_card"])
"""Whoever holds such a card is not asked for another one, and hears of no code but the plain one."""
PLAIN_CODE = "card_declined"

_UNTOLD = "Do not tell the customer; do not retry; offer no other card. Look at the customer's other open orders."
_ANOTHER_CARD = "The customer should use another card."
_CHECK_DATA = "The customer should check what they typed, or use another card."
_WAIT = "It may work later; if it does not, the customer should call their bank."
_LIMIT = "The customer should use another card, or ask their bank for a higher limit."
_AUTHENTICATE = "The customer must be present: ask them to pay again and to authenticate."
_ASK_BANK = "The bank gives no reason that it shares. The customer should call it, or use another card."

OPERATOR_MESSAGES = {
    "fraudulent": f"Stripe suspects fraud. {_UNTOLD}",
    "lost_card": f"The card is reported lost. {_UNTOLD}",
    "stolen_card": f"The card is reported stolen. {_UNTOLD}",
    "pickup_card": f"The bank wants the card back; it may be lost or stolen. {_UNTOLD}",
    "merchant_blacklist": f"The payment matches a value on our own Stripe block list. {_UNTOLD}",
    "insufficient_funds": f"The bank says that there is not enough money. {_ANOTHER_CARD}",
    "expired_card": f"The card has expired. {_ANOTHER_CARD}",
    "currency_not_supported": f"The card does not take the order's currency. {_ANOTHER_CARD}",
    "card_not_supported": f"The card does not take this kind of payment. {_ANOTHER_CARD}",
    "card_velocity_exceeded": f"The card is over its limit. {_LIMIT}",
    "withdrawal_count_limit_exceeded": f"The card is over its limit. {_LIMIT}",
    "duplicate_transaction": "The bank saw the same amount a moment ago: look for a payment before trying again.",
    "test_mode_live_card": "A real card was used in test mode: check which Stripe key the worker has.",
    "testmode_decline": "A test card was used in live mode. The customer needs a real card.",
    **dict.fromkeys(["authentication_required", "payment_intent_authentication_failure"], _AUTHENTICATE),
    **dict.fromkeys(["processing_error", "issuer_not_available", "reenter_transaction", "try_again_later"], _WAIT),
    **dict.fromkeys(
        ["incorrect_cvc", "invalid_cvc", "incorrect_number", "invalid_number", "incorrect_zip"], _CHECK_DATA
    ),
    **dict.fromkeys(["invalid_expiry_month", "invalid_expiry_year", "incorrect_address"], _CHECK_DATA),
    **dict.fromkeys(["generic_decline", "card_declined", "do_not_honor", "call_issuer"], _ASK_BANK),
}

_ADVICE = {
    "do_not_try_again": "Stripe's advice: do not retry this card.",
    "confirm_card_data": "Stripe's advice: let the customer confirm the card's data.",
    "try_again_later": "Stripe's advice: the same card may work later.",
}


def declined(code: str, advice_code: str | None = None) -> PaymentDeclined:
    """Of a decline code; where the bank gave none, of the error code. The error's own code goes to customers."""
    final = code in FINAL
    operator = OPERATOR_MESSAGES.get(code, f"Stripe's code {code} is not in our table. {_ASK_BANK}")
    advice = None if final else _ADVICE.get(advice_code or "")
    words = f"{operator} {advice}" if advice else operator
    told = CUSTOMER_MESSAGES.get(code, GENERIC_MESSAGE)
    return PaymentDeclined(PLAIN_CODE if final else code, told, operator=words, final=final)
