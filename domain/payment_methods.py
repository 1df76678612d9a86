"""What a customer can pay with, by the words of this service and by Stripe's."""

from __future__ import annotations

PAYMENT_KINDS = frozenset(["credit_card", "card", "debit_card"])
"""A kind of payment instead of a payment method of Stripe."""

TEST_CARD = "pm_card_visa"
"""Stripe's card for tests (https://docs.stripe.com/testing#cards)."""


def stripe_method(wanted: str, *, is_live: bool) -> str:
    """The payment method of an order: a kind stands for a test card.

    Where money is real (`is_live`) a kind is kept as it is, and the customer is asked for the card.
    """
    return TEST_CARD if wanted in PAYMENT_KINDS and not is_live else wanted
