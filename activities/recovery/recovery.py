"""What a recovery has to know before it does anything: the order as it is now, under its lock."""

from __future__ import annotations

from temporalio import activity

from domain.commands import OrderRef
from domain.recovery import Standing
from domain.repairs import settled_by_recovery
from services.orders.book import OrderBook
from services.tickets.book import open_tickets


class Recoveries:
    """The first step of `OrderRecovery`."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book

    @activity.defn
    async def look_at_order(self, ref: OrderRef) -> Standing:
        """The order may have come to its end since it was found, by a workflow that has ended, too."""
        async with self._book.locked(ref.order_id) as order:
            tickets = await open_tickets(order)
        sagas = {ticket.step for ticket in tickets if settled_by_recovery(ticket.kind, ticket.step)}
        others = [ticket for ticket in tickets if ticket.step not in sagas]
        return Standing(status=order.status, tickets=sorted(sagas), needs_attention=bool(others))
