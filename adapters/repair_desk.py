"""Tickets: work for a person; at most one open ticket per order, kind and step."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from adapters.columns import now
from adapters.order_book import LockedOrder
from adapters.repair_tables import Ticket
from domain.commands import Attention
from domain.events import EventName


async def open_ticket(order: LockedOrder, about: Attention) -> None:
    """Opens the ticket, unless it is open already, and flags the order."""
    row = {"order_id": about.order_id, "kind": about.kind, "step": about.step, "detail": about.detail}
    connection = await order.session.connection()
    new = insert(Ticket).values(**row, opened_at=now()).on_conflict_do_nothing()
    opened = (await connection.execute(new)).rowcount == 1
    order.row.needs_attention = True
    if opened:
        order.note(f"needs attention: {about.step}: {about.kind}", by="saga")
        await order.emit(EventName.ORDER_NEEDS_ATTENTION, reason=about.kind)


async def close_tickets(order: LockedOrder, step: str) -> None:
    """Closes every open ticket of the step: it has succeeded since."""
    query = select(Ticket).where(Ticket.order_id == order.row.order_id, col(Ticket.resolved_at).is_(None))
    tickets = list(await order.session.exec(query))
    closed = [ticket for ticket in tickets if ticket.step == step]
    for ticket in closed:
        ticket.resolved_at, ticket.resolved_by = now(), "saga"
        order.session.add(ticket)
    order.row.needs_attention = len(tickets) > len(closed)
    if closed:
        order.note(f"got on by itself: {step}", by="saga")
        await order.emit(EventName.ORDER_RESOLVED, reason=step)
