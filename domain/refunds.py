"""A goodwill refund: a part of the captured money that an operator gives back, mostly after the delivery."""

from __future__ import annotations

from enum import StrEnum

from domain.commands import Message
from domain.repairs import REFUND_STEP


class RefundState(StrEnum):
    ASKED = "asked"  # stored; what Stripe says of it is not known yet
    PENDING = "pending"  # Stripe has it, the bank has not
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # no money went back, and none will


UNSETTLED = frozenset([RefundState.ASKED, RefundState.PENDING])


class GiveRefund(Message):
    """The input of the workflow `OrderRefund`; `key` is the Idempotency-Key of who asked."""

    order_id: str
    key: str


class RefundProgress(Message):
    """What a step has found out."""

    state: RefundState


def step_of(key: str) -> str:
    """The name of the refund's step at the repair desk, while its workflow runs: `refund <key>`."""
    return f"{REFUND_STEP}{key}"


def operation_of(key: str) -> str:
    """The name under which the refund's call to Stripe is saved, and which Stripe keeps with it: `refund-<key>`.

    Also the step of the ticket that tells that the refund has failed, which no workflow waits for.
    """
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
