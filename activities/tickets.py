"""Where the saga calls a person: one open ticket per order, step and kind, and a flag on the order."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from temporalio import activity

from adapters.columns import now
from adapters.order_book import LockedOrder, OrderBook
from adapters.saga_tables import Ticket
from domain.commands import Attention
from domain.events import EventName


class Tickets:
    def __init__(self, book: OrderBook) -> None:
        self._book = book

    @activity.defn
    async def open_ticket(self, about: Attention) -> None:
        async with self._book.locked(about.order_id) as order:
            if await open_ticket(order, about):
                order.note(f"needs attention: {about.step}: {about.kind}", by="saga")
                await order.emit(EventName.ORDER_NEEDS_ATTENTION, reason=about.kind)

    @activity.defn
    async def close_tickets(self, about: Attention) -> None:
        """Closes every open ticket of the step: it has succeeded since."""
        async with self._book.locked(about.order_id) as order:
            query = select(Ticket).where(Ticket.order_id == about.order_id, col(Ticket.resolved_at).is_(None))
            tickets = list(await order.session.exec(query))
            closed = [ticket for ticket in tickets if ticket.step == about.step]
            for ticket in closed:
                ticket.resolved_at, ticket.resolved_by = now(), "saga"
                order.session.add(ticket)
            order.row.needs_attention = len(tickets) > len(closed)
            if closed:
                order.note(f"got on by itself: {about.step}", by="saga")
                await order.emit(EventName.ORDER_RESOLVED, reason=about.step)


async def open_ticket(order: LockedOrder, about: Attention) -> bool:
    """Opens the ticket unless it is open already; the order is flagged either way."""
    row = {"order_id": about.order_id, "kind": about.kind, "step": about.step, "detail": about.detail}
    connection = await order.session.connection()
    new = insert(Ticket).values(**row, opened_at=now()).on_conflict_do_nothing()
    opened = (await connection.execute(new)).rowcount == 1
    order.row.needs_attention = True
    return opened
