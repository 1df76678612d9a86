"""A goodwill refund: a part of the captured money that an operator gives back, mostly after the delivery."""

from __future__ import annotations

from enum import StrEnum

from domain.commands import Message


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
    """The input of the workflow `OrderRefund`; `key` is the Idempotency-Key of who asked."""

    order_id: str
    key: str


class RefundProgress(Message):
    """What a step has found out."""

    state: RefundState


def operation_of(key: str) -> str:
    """The name under which the refund's call to Stripe is saved, and the reference that Stripe keeps with it."""
    return f"refund-{key}"


BY_STRIPE = "stripe"
"""Who gave a refund that nobody asked this service for."""

AT_STRIPE_KEY = "stripe:"
"""Before Stripe's id in the key of such a refund: no Idempotency-Key has a colon, so it can be nobody's wish."""

UNDO_REFERENCE = "refund:"
"""Before the number of the try in the reference of an undo's refund, which gives back all that is left."""


def is_the_undos(reference: str | None) -> bool:
    """Whether a refund of this reference was given by an undo."""
    return reference is not None and reference.startswith(UNDO_REFERENCE)
