"""Where the saga calls a person, and tells that a step got on by itself."""

from __future__ import annotations

from temporalio import activity

from adapters import repair_desk
from adapters.order_book import OrderBook
from domain.commands import Attention


class Tickets:
    def __init__(self, book: OrderBook) -> None:
        self._book = book

    @activity.defn
    async def open_ticket(self, about: Attention) -> None:
        async with self._book.locked(about.order_id) as order:
            await repair_desk.open_ticket(order, about)

    @activity.defn
    async def close_tickets(self, about: Attention) -> None:
        async with self._book.locked(about.order_id) as order:
            await repair_desk.close_tickets(order, about.step)
