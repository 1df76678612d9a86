"""Whoever watches an order is told of its new timeline rows by a hint, once they are committed."""

from __future__ import annotations

from adapters.postgres.hints import Hints
from services.orders.book import Committed, LockedOrder
from services.orders.tables import TimelineEntry

CHANNEL = "ordersaga_orders"
"""A notification names the orders whose timelines have grown; an empty one means that any may have."""


def hinting(hints: Hints) -> Committed:
    """What an `OrderBook` is to do after each commit."""

    def hint(order: LockedOrder) -> None:
        if TimelineEntry in order.added:
            hints.give(CHANNEL, order.row.order_id)

    return hint
