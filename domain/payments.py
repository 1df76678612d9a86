"""The states of a payment: in our books, and at Stripe."""

from __future__ import annotations

from enum import StrEnum


class PaymentState(StrEnum):
    """How far our books say that a payment has come; one row of `payments` stands for one PaymentIntent."""

    CREATED = "created"  # its id is saved; no money has been asked for
    REQUIRES_ACTION = "requires_action"  # the customer has to act, e.g. 3-D Secure
    AUTHORIZED = "authorized"  # the bank holds the money
    CAPTURED = "captured"  # the shop has the money, or what is left of it after refunds
    VOIDED = "voided"  # the hold was released: nothing was taken
    REFUNDED = "refunded"  # all that was captured has gone back
    DECLINED = "declined"


UNCAPTURED = frozenset([PaymentState.CREATED, PaymentState.REQUIRES_ACTION, PaymentState.AUTHORIZED])
"""States of a payment of which no money was taken, and may still be."""


class IntentStatus(StrEnum):
    """A PaymentIntent's status at Stripe (https://docs.stripe.com/payments/paymentintents/lifecycle).

    What Stripe says is kept as text, since a later version of its API may say more; it is compared with these.
    """

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"  # new, or its last card was declined
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"  # authorized
    SUCCEEDED = "succeeded"  # captured; it stays so after a refund
    CANCELED = "canceled"
