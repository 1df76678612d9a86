"""Stock hints: what other services need of InventoryUpdated, namely that a product became scarce, or is back."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.cloud_events import CloudEvent
from domain.events import EventName, InventoryUpdatedData
from domain.inventory import hint_of
from domain.routing import Rule
from events.consumer import Consumer
from services.inventory import hints
from services.inventory.hints import Hint


class StockHints(Consumer):
    """At most one hint for each event, told by the event alone: read again, it gives the same hint."""

    name = "stock_hints"
    rule = Rule(types=frozenset({EventName.INVENTORY_UPDATED}))
    holds_subject = False  # a later change of the stock says more than one that was parked
    linger = 0.5

    def __init__(self, low: int) -> None:
        """`low`: so many pieces on hand, or fewer, are few."""
        self._low = low

    async def apply(self, connection: AsyncConnection, events: Sequence[CloudEvent]) -> None:
        found = []
        for event in events:
            stock = InventoryUpdatedData.model_validate(event.data)
            before = stock.new_quantity - stock.quantity_change
            if (kind := hint_of(before, stock.new_quantity, self._low)) is not None:
                found.append(Hint(event.id, stock.product_id, kind, stock.new_quantity, event.time))
        if found:
            await hints.note(connection, found)
