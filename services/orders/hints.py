"""Whoever waits for what orders write is told of it by a hint, once it is committed."""

from __future__ import annotations

from adapters.postgres.hints import Hints
from services.orders.book import Committed, LockedOrder
from services.orders.tables import TimelineEntry
from services.outbox.tables import OutboxEvent
from services.outbox.waiting import CHANNEL as OUTBOX

CHANNEL = "ordersaga_orders"
"""A notification names the orders whose timelines have grown; an empty one means that any may have."""


def hint_placed(hints: Hints) -> None:
    """Tells of an order that `place` has committed: its first event waits, and nobody watches its timeline yet."""
    hints.give(OUTBOX)


def hinting(hints: Hints) -> Committed:
    """What an `OrderBook` is to do after each commit."""

    def hint(order: LockedOrder) -> None:
        if OutboxEvent in order.added:
            hints.give(OUTBOX)
        if TimelineEntry in order.added:
            hints.give(CHANNEL, order.row.order_id)

    return hint
