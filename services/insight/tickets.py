"""Tickets as the repair desk reads them: the list, and one with its order, its trail and the words of its trail.

Reads only, over the tables of several areas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions
from services.orders.tables import Order
from services.payments.tables import Payment
from services.repairs.desk import no_such_ticket
from services.shipping.tables import ShipmentRow
from services.texts import texts
from services.tickets import our_faults
from services.tickets.tables import Ticket, TicketAction

tickets = Ticket.__table__  # type: ignore[attr-defined]
actions = TicketAction.__table__  # type: ignore[attr-defined]
orders = Order.__table__  # type: ignore[attr-defined]
payments = Payment.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]

TicketRow = Row[Any]
"""The columns of `tickets`."""

ActionRow = Row[Any]
"""The columns of `ticket_actions`."""

TicketOrderRow = Row[Any]
"""Of a ticket's order: `status`, `payment_status`, `needs_attention`, the latest payment's `payment_intent_id`, and
`shipment_id` and `tracking_number` of its parcel; None for what it has not."""


@dataclass(frozen=True)
class TicketFilter:
    """Which tickets a list shows; None is no condition."""

    is_open: bool | None = True
    kind: str | None = None
    order_id: str | None = None


@dataclass(frozen=True)
class TicketRead:
    """A ticket with all that its row does not say: the trail, the words that it names, the order."""

    row: TicketRow
    trail: Sequence[ActionRow]  # oldest first
    words: texts.Words
    order: TicketOrderRow | None


@dataclass(frozen=True)
class Waiting:
    """How many orders wait for a fault of ours, and the ids of a few of them."""

    count: int
    examples: list[str]


async def list_tickets(
    reads: AsyncEngine, wanted: TicketFilter, most: int, before: int | None = None
) -> Sequence[TicketRow]:
    """At most `most` tickets, the newest first; `before` is the id of the last one that the caller has."""
    statement = _filtered(wanted).order_by(tickets.c.id.desc()).limit(most)
    if before is not None:
        statement = statement.where(tickets.c.id < before)
    async with reads.connect() as connection:
        found: Sequence[TicketRow] = (await connection.execute(statement)).all()
        return found


async def read_ticket(reads: AsyncEngine, ticket_id: int) -> TicketRead:
    """One ticket. Raises NotFound."""
    trail = select(actions).where(actions.c.ticket_id == ticket_id).order_by(actions.c.id)
    async with reads.connect() as connection:
        row = (await connection.execute(select(tickets).where(tickets.c.id == ticket_id))).one_or_none()
        if row is None:
            raise no_such_ticket()
        rows = (await connection.execute(trail)).all()
        words = await texts.read(connection, [id_ for one in rows for id_ in (one.note_id, one.evidence_id) if id_])
        order = (await connection.execute(_order_of(row.order_id))).one_or_none() if row.order_id else None
    return TicketRead(row, rows, words, order)


async def waiting_for(sessions: Sessions, cause: str) -> Waiting:
    """The orders that wait for this fault of ours to be mended."""
    async with sessions() as session:
        count = await our_faults.count_waiting(session, cause)
        return Waiting(count, await our_faults.some_waiting(session, cause))


def _filtered(wanted: TicketFilter) -> Select[Any]:
    statement = select(tickets)
    if wanted.is_open is not None:
        is_open = tickets.c.resolved_at.is_(None)
        statement = statement.where(is_open if wanted.is_open else ~is_open)
    if wanted.kind is not None:
        statement = statement.where(tickets.c.kind == wanted.kind)
    if wanted.order_id is not None:
        statement = statement.where(tickets.c.order_id == wanted.order_id)
    return statement


def _order_of(order_id: str) -> Select[Any]:
    latest = (
        select(payments.c.payment_intent_id)
        .where(payments.c.order_id == orders.c.order_id)
        .order_by(payments.c.attempt.desc())
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(
            orders.c.status,
            orders.c.payment_status,
            orders.c.needs_attention,
            latest.label("payment_intent_id"),
            shipments.c.shipment_id,
            shipments.c.tracking_number,
        )
        .select_from(orders.outerjoin(shipments, shipments.c.order_id == orders.c.order_id))
        .where(orders.c.order_id == order_id)
    )
