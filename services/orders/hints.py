"""Whoever waits for what orders write is told of it by a hint, once it is committed."""

from __future__ import annotations

from adapters.postgres.hints import Hints
from services.orders.book import Committed, LockedOrder
from services.outbox.tables import OutboxEvent
from services.outbox.waiting import CHANNEL as OUTBOX


def hinting(hints: Hints) -> Committed:
    """What an `OrderBook` is to do after each commit."""

    def hint(order: LockedOrder) -> None:
        if OutboxEvent in order.added:
            hints.give(OUTBOX)

    return hint
