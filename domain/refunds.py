"""A goodwill refund: a part of the captured money that an operator gives back, mostly after the delivery."""

from __future__ import annotations

from enum import StrEnum

from domain.commands import Message
from domain.repairs import REFUND_STEP


class RefundState(StrEnum):
    """How far our books say that a refund has come."""

    ASKED = "asked"  # stored; what Stripe says of it is not known yet
    PENDING = "pending"  # Stripe has it, the bank has not
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # no money went back, and none will


class StripeRefundStatus(StrEnum):
    """A refund's status at Stripe (https://docs.stripe.com/api/refunds/object#refund_object-status).

    What Stripe says is kept as text, since a later version of its API may say more; it is compared with these.
    """

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


NOT_GIVEN = frozenset([StripeRefundStatus.FAILED, StripeRefundStatus.CANCELED])
"""The money is with the shop, and stays there."""

UNSETTLED = frozenset([RefundState.ASKED, RefundState.PENDING])


class GiveRefund(Message):
    """The input of the workflow `OrderRefund`; `key` is the Idempotency-Key of the request (1 to 64 characters)."""

    order_id: str
    key: str


class RefundProgress(Message):
    """The answer of the activities `send_refund` and `follow_refund`."""

    state: RefundState


def step_of(key: str) -> str:
    """The name of the refund's step at the repair desk, while its workflow runs: `refund <key>`."""
    return f"{REFUND_STEP}{key}"


def operation_of(key: str) -> str:
    """The name under which the refund's call to Stripe is saved, and the reference that Stripe keeps with it.

    Also the step of the ticket that tells that the refund has failed, which no workflow waits for.
    """
    return f"refund-{key}"


BY_STRIPE = "stripe"
"""The actor of a refund that was made at Stripe, outside of this service."""

AT_STRIPE_KEY = "stripe:"
"""The prefix of the key of such a refund, before Stripe's id. No Idempotency-Key has a colon, so none equals it."""

UNDO_REFERENCE = "refund:"
"""The prefix of the reference of an undo's refund, before the number of its try. It gives back all that is left."""


def is_the_undos(reference: str | None) -> bool:
    """Whether a refund with this reference at Stripe was made by an undo, not by an operator."""
    return reference is not None and reference.startswith(UNDO_REFERENCE)
