"""Merchant webhooks: notes a delivery for each endpoint that wants it; `events/webhook_deliveries.py` sends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.cloud_events import CloudEvent
from events.consumer import Consumer
from services.merchant_webhooks import deliveries


class MerchantWebhooks(Consumer):
    """One delivery for each endpoint and event's id, so that what is read again is not delivered again."""

    name = "merchant_webhooks"
    versions = None  # an event is handed on as it is
    in_order = False
    holds_subject = False
    linger = 0.02

    def __init__(self, kept: timedelta, wake: Callable[[], None] = lambda: None) -> None:
        """An event older than `kept` is not delivered any more.

        `wake` is called when there is something to send; the transaction may end a moment later.
        """
        self._kept, self._wake = kept, wake

    async def apply(self, connection: AsyncConnection, events: Sequence[CloudEvent]) -> None:
        if await deliveries.add(connection, events, self._kept):
            self._wake()
