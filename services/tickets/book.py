"""Tickets: work for a person; at most one open per order, kind, step and subject, each with its audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import null
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from domain.commands import Attention
from domain.events import EventName
from domain.settled_payments import Known
from services.orders.book import LockedOrder
from services.tickets.tables import Ticket, TicketAction, TrailAction

SAGA = "saga"


class _Opened(NamedTuple):
    """A ticket's row at its opening; `order_id` None for one of no one order."""

    order_id: str | None
    kind: str
    step: str
    detail: str
    subject: str | None = None
    seen: Known | None = None


async def open_ticket(
    order: LockedOrder, about: Attention, *, subject: str | None = None, seen: Known | None = None
) -> int:
    """Opens the ticket, unless it is open already, and flags the order; the ticket's id.

    `subject` names which of several things of the kind it is about, `seen` what Stripe says of it now.
    """
    row = _Opened(about.order_id, about.kind, about.step, about.detail, subject, seen)
    ticket_id, opened = await _open(order.session, row, SAGA)
    order.row.needs_attention = True
    if opened:
        order.note(f"needs attention: {about.step}: {about.kind}", by=SAGA)
        order.emit(EventName.ORDER_NEEDS_ATTENTION, reason=about.kind)
    return ticket_id


async def open_ticket_about(
    session: AsyncSession, kind: str, step: str, detail: str, *, subject: str | None = None, seen: Known | None = None
) -> int:
    """Opens a ticket of no one order, unless it is open already; its id.

    `step` names what was compared, `subject` which of several things of the kind it is about: each has its own.
    """
    ticket_id, _ = await _open(session, _Opened(None, kind, step, detail, subject, seen), step)
    return ticket_id


async def close_tickets(order: LockedOrder, step: str) -> None:
    """Closes every open ticket of the step: it has succeeded since."""
    tickets = await open_tickets(order)
    closed = [ticket for ticket in tickets if ticket.step == step]
    for ticket in closed:
        close(order.session, ticket, SAGA)
        order.session.add(action_of(ticket, SAGA, TrailAction.CLOSED))
    order.row.needs_attention = len(tickets) > len(closed)
    if closed:
        order.note(f"succeeded by itself: {step}", by=SAGA)
        order.emit(EventName.ORDER_RESOLVED, reason=step)


async def close_ticket_about(session: AsyncSession, kind: str, step: str, *, subject: str | None = None) -> None:
    """Closes the open ticket of no one order, if there is one: what it told is no longer so."""
    query = select(Ticket).where(col(Ticket.order_id).is_(None), Ticket.kind == kind, Ticket.step == step)
    query = query.where(col(Ticket.subject).is_not_distinct_from(subject))
    for ticket in await session.exec(query.where(col(Ticket.resolved_at).is_(None)).with_for_update()):
        close(session, ticket, step)
        session.add(action_of(ticket, step, TrailAction.CLOSED))


async def open_subjects(session: AsyncSession, kind: str, step: str) -> list[str | None]:
    """What the open tickets of no one order, of this kind and step, are about."""
    query = select(Ticket.subject).where(col(Ticket.order_id).is_(None), Ticket.kind == kind, Ticket.step == step)
    return list(await session.exec(query.where(col(Ticket.resolved_at).is_(None))))


async def asked_again(order: LockedOrder, step: str, since: datetime) -> bool:
    """Whether a person has asked to try the step again since."""
    query = select(TicketAction.id).join(Ticket).where(Ticket.order_id == order.row.order_id, Ticket.step == step)
    query = query.where(TicketAction.action == TrailAction.RETRY.value, TicketAction.at > since)
    return (await order.session.exec(query.limit(1))).first() is not None


async def wants_retry(session: AsyncSession, kind: str, step: str) -> bool:
    """Whether a person has answered the open ticket of no one order with a retry."""
    query = select(TicketAction.id).join(Ticket).where(col(Ticket.order_id).is_(None), Ticket.kind == kind)
    query = query.where(Ticket.step == step, col(Ticket.resolved_at).is_(None))
    query = query.where(TicketAction.action == TrailAction.RETRY.value)
    return (await session.exec(query.limit(1))).first() is not None


async def open_steps(order: LockedOrder) -> list[str]:
    """The steps about which tickets of the order are open."""
    return sorted({ticket.step for ticket in await open_tickets(order)})


async def _open(session: AsyncSession, row: _Opened, by: str) -> tuple[int, bool]:
    """The open ticket's id, and whether it is new."""
    values = row._asdict() | {"seen": row.seen.model_dump() if row.seen else null()}
    new = insert(Ticket).values(**values, opened_at=now()).on_conflict_do_nothing().returning(col(Ticket.id))
    connection = await session.connection()
    made = (await connection.execute(new)).scalar_one_or_none()
    if made is not None:
        session.add(TicketAction(ticket_id=made, at=now(), by=by, action=TrailAction.OPENED.value, note=row.detail))
        return int(made), True
    same_order = Ticket.order_id == row.order_id if row.order_id else col(Ticket.order_id).is_(None)
    known = select(Ticket.id).where(same_order, Ticket.kind == row.kind, Ticket.step == row.step)
    known = known.where(col(Ticket.subject).is_not_distinct_from(row.subject))
    found = (await session.exec(known.where(col(Ticket.resolved_at).is_(None)))).one()
    assert found is not None
    return found, False


async def open_tickets(order: LockedOrder) -> list[Ticket]:
    """The order's tickets that nobody has resolved yet."""
    query = select(Ticket).where(Ticket.order_id == order.row.order_id, col(Ticket.resolved_at).is_(None))
    return list(await order.session.exec(query))


async def done_by_hand(order: LockedOrder, step: str, since: datetime | None = None) -> bool:
    """Whether a person has said at the repair desk, since that time, that the step is done."""
    query = (
        select(TicketAction.id)
        .join(Ticket, col(Ticket.id) == col(TicketAction.ticket_id))
        .where(Ticket.order_id == order.row.order_id, Ticket.step == step)
        .where(TicketAction.action == TrailAction.MARK_DONE.value)
    )
    if since is not None:
        query = query.where(col(TicketAction.at) > since)
    return (await order.session.exec(query.limit(1))).first() is not None


def close(session: AsyncSession, ticket: Ticket, by: str) -> None:
    """Marks the ticket as resolved now; its trail is the caller's to write."""
    ticket.resolved_at, ticket.resolved_by = now(), by
    session.add(ticket)


def action_of(ticket: Ticket, by: str, action: TrailAction) -> TicketAction:
    """A new row of the ticket's audit trail, which the caller adds."""
    assert ticket.id is not None
    return TicketAction(ticket_id=ticket.id, at=now(), by=by, action=action.value)
