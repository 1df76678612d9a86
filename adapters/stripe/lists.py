"""Stripe's lists, read to compare books and to find events that were never delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import stripe

from adapters.stripe.connection import StripeConnection, translated
from domain.recovery import PaymentAtStripe
from domain.webhooks import Arrived

SOURCE = "stripe"
PAGE = 100  # the most that Stripe gives at once
CHARGE = "latest_charge"

# What can change an order's money without us (https://docs.stripe.com/api/events/types); a list takes 20 at most.
FOLLOWED = [
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.expired",
    "charge.refunded",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "review.closed",
    "review.opened",
]


class StripeLists:
    """Pages of at most 100, newest first, as Stripe gives them."""

    def __init__(self, connection: StripeConnection) -> None:
        self._intents, self._events = connection.client.v1.payment_intents, connection.client.v1.events

    async def payments(
        self, since: datetime, until: datetime, after: str | None = None
    ) -> AsyncIterator[list[PaymentAtStripe]]:
        """The PaymentIntents created in a time, with what was refunded of each; after the id `after`, if given."""
        params: Any = {"created": _between(since, until), "limit": PAGE, "expand": [f"data.{CHARGE}"]}
        if after is not None:
            params["starting_after"] = after
        while True:
            async with translated():
                page = await self._intents.list_async(params)
            yield [_payment(intent) for intent in page.data]
            if not page.has_more:
                return
            params = {**params, "starting_after": page.data[-1].id}

    async def payment(self, payment_intent_id: str) -> PaymentAtStripe:
        async with translated():
            return _payment(await self._intents.retrieve_async(payment_intent_id, {"expand": [CHARGE]}))

    async def events(self, since: datetime, until: datetime) -> AsyncIterator[list[Arrived]]:
        """The events of a time that may concern an order; they hold personal data, of which only ids are read."""
        params: Any = {"created": _between(since, until), "limit": PAGE, "types": FOLLOWED}
        while True:
            async with translated():
                page = await self._events.list_async(params)
            yield [_arrived(event) for event in page.data]
            if not page.has_more:
                return
            params = {**params, "starting_after": page.data[-1].id}


def _between(since: datetime, until: datetime) -> dict[str, int]:
    return {"gte": int(since.timestamp()), "lte": int(until.timestamp())}


def _payment(intent: stripe.PaymentIntent) -> PaymentAtStripe:
    metadata = intent.metadata
    return PaymentAtStripe(
        id=intent.id,
        order_id=str(metadata["order_id"]) if metadata is not None and "order_id" in metadata else None,
        status=intent.status,
        received=intent.amount_received or 0,
        refunded=getattr(intent.latest_charge, "amount_refunded", 0),
    )


def _arrived(event: stripe.Event) -> Arrived:
    return Arrived(SOURCE, event.id, event.type, payment_of(event.data.object.to_dict()))


def payment_of(about: Mapping[str, Any]) -> str | None:
    """The PaymentIntent that an event is about: itself, or the one of its charge, refund, dispute or review."""
    found = about if about["object"] == "payment_intent" else about.get("payment_intent")
    return found if found is None or isinstance(found, str) else str(found["id"])
