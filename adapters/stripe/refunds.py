"""Stripe's refunds, with what each was for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stripe

from adapters.stripe.connection import StripeConnection, text_of, translated
from adapters.stripe.errors import translate_refund
from domain.refunds import NOT_GIVEN, StripeRefundStatus

PAGE = 100  # the most that Stripe gives at once


@dataclass(frozen=True)
class GivenRefund:
    """A refund as Stripe says it is now; the amount in minor units."""

    id: str
    status: str
    amount: int
    operation: str | None  # our reference
    failure_reason: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the customer's bank has the money."""
        return self.status == StripeRefundStatus.SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether the money stayed with the shop."""
        return self.status in NOT_GIVEN


class RefundGateway:
    """Every call about refunds: those of an operator, and those of an undo."""

    def __init__(self, connection: StripeConnection) -> None:
        self._refunds = connection.client.v1.refunds

    async def give(self, params: Any, key: str) -> GivenRefund:
        """Gives a part back. Raises RefundRefused when Stripe refuses it, KeyUsedUp, and what `translate` tells."""
        async with translated(translate_refund):
            return await self._create(params, key)

    async def give_rest(self, params: Any, key: str) -> GivenRefund:
        """Gives back all that is left, for an undo. Raises what `translate` tells, e.g. CallRefused."""
        async with translated():
            return await self._create(params, key)

    async def _create(self, params: Any, key: str) -> GivenRefund:
        return given(await self._refunds.create_async(params, {"idempotency_key": key}))

    async def retrieve(self, refund_id: str) -> GivenRefund:
        """What Stripe says of the refund now. Raises RefundRefused for one that it does not know."""
        async with translated(translate_refund):
            return given(await self._refunds.retrieve_async(refund_id))

    async def find(self, payment_intent_id: str, operation: str) -> GivenRefund | None:
        """The payment's refund of that reference."""
        return next((one for one in await self.all_of(payment_intent_id) if one.operation == operation), None)

    async def all_of(self, payment_intent_id: str) -> list[GivenRefund]:
        """Every refund of the payment, newest first; a list, because search lags."""
        async with translated():
            page = await self._refunds.list_async({"payment_intent": payment_intent_id, "limit": PAGE})
            return [given(refund) async for refund in page.auto_paging_iter()]


def given(refund: stripe.Refund) -> GivenRefund:
    """What we read of Stripe's refund."""
    metadata = refund.metadata
    operation = metadata["operation"] if metadata is not None and "operation" in metadata else None
    reason = getattr(refund, "failure_reason", None)
    return GivenRefund(text_of(refund.id), refund.status or "", int(refund.amount), operation, reason)
