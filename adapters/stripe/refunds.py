"""Stripe's refunds with what they were for, and with errors that tell a refusal from an outcome that is not known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import stripe

from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection, text_of
from adapters.stripe.errors import UNREADABLE, replayed, translate, unreadable
from domain.errors import BusinessRefusal, OrderSagaError, TryAgain

REFUSED = frozenset([400, 404])
NOTHING_LEFT = "charge_already_refunded"


class RefundRefused(BusinessRefusal):
    """Stripe refuses the call as such, so it has given nothing back; `code` is Stripe's."""


class KeyUsedUp(TryAgain):
    """Stripe replays a 5xx that it keeps under the key: nothing that is sent with it takes effect any more.

    Any other 5xx says nothing of what becomes of the call (https://docs.stripe.com/error-low-level#idempotency).
    """


@dataclass(frozen=True)
class GivenRefund:
    """A refund as Stripe says it is now; the amount in minor units."""

    id: str
    status: str
    amount: int
    operation: str | None  # our reference
    failure_reason: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the money stayed with the shop."""
        return self.status in ("failed", "canceled")


class RefundGateway(StripeConnection):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._refunds = self._client.v1.refunds

    async def give(self, params: Any, key: str) -> GivenRefund:
        """Raises RefundRefused or KeyUsedUp, and what `stripe_errors` knows."""
        async with _translated():
            return given(await self._refunds.create_async(params, {"idempotency_key": key}))

    async def find(self, payment_intent_id: str, operation: str) -> GivenRefund | None:
        """The payment's refund of that reference."""
        return next((one for one in await self.all_of(payment_intent_id) if one.operation == operation), None)

    async def retrieve(self, refund_id: str) -> GivenRefund:
        async with _translated():
            return given(await self._refunds.retrieve_async(refund_id))

    async def all_of(self, payment_intent_id: str) -> list[GivenRefund]:
        """Newest first; a list, because search lags."""
        async with _translated():
            page = await self._refunds.list_async({"payment_intent": payment_intent_id, "limit": 100})
            return [given(refund) async for refund in page.auto_paging_iter()]


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except stripe.StripeError as error:
        raise _translate(error) from None  # the SDK's error quotes the request: it must not reach a history
    except UNREADABLE as error:
        raise unreadable(error) from None


def _translate(error: stripe.StripeError) -> OrderSagaError:
    meant = translate(error)
    if isinstance(error, stripe.InvalidRequestError) and error.http_status in REFUSED:
        return RefundRefused(error.code or "refused", str(meant))
    return KeyUsedUp(str(meant)) if replayed(error) and (error.http_status or 0) >= 500 else meant


def given(refund: stripe.Refund) -> GivenRefund:
    """What we read of Stripe's refund."""
    metadata = refund.metadata
    operation = metadata["operation"] if metadata is not None and "operation" in metadata else None
    reason = getattr(refund, "failure_reason", None)
    return GivenRefund(text_of(refund.id), refund.status or "", int(refund.amount), operation, reason)
