"""A goodwill refund: a part of the captured money that an operator gives back, mostly after the delivery."""

from __future__ import annotations

from enum import StrEnum

from domain.commands import Message


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


def operation_of(key: str) -> str:
    """What the refund's call to Stripe is frozen as, and the reference that Stripe keeps with it."""
    return f"refund-{key}"
