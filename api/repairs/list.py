"""Tickets as operators see them: the list, and one with all that is needed to decide."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, select
from temporalio.service import RPCError

from adapters.settings import Settings
from adapters.temporal.client import trace_link, workflow_id
from api.deps import Services
from api.http.pages import read_cursor, read_number, write_cursor
from api.repairs.schemas import (
    PossibleDecision,
    RepairLinks,
    RepairList,
    RepairQuery,
    RepairSummary,
    RepairView,
    Shown,
    TicketActionRow,
    TicketOrder,
    TicketStatus,
    WaitingOrders,
)
from domain.errors import RequestRefused
from domain.order_states import OrderStatus, PaymentStatus
from domain.repairs import OUR_FAULT, Owner, rule_of
from services.orders.tables import Order
from services.payments.tables import Payment
from services.shipping.tables import ShipmentRow
from services.texts import texts
from services.tickets import our_faults
from services.tickets.tables import Ticket, TicketAction

tickets = Ticket.__table__  # type: ignore[attr-defined]
actions = TicketAction.__table__  # type: ignore[attr-defined]
orders = Order.__table__  # type: ignore[attr-defined]
payments = Payment.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]

ENGINE_PATIENCE = timedelta(seconds=2)  # for what only makes a ticket easier to understand


async def list_tickets(services: Services, query: RepairQuery) -> RepairList:
    """One page, newest first. Raises RequestRefused (422) for a cursor that is none."""
    statement = _filtered(query).order_by(tickets.c.id.desc()).limit(query.limit + 1)
    if query.cursor is not None:
        (position,) = read_cursor(query.cursor, 1)
        statement = statement.where(tickets.c.id < read_number(position))
    async with services.reads.connect() as connection:
        rows = (await connection.execute(statement)).all()
    page = rows[: query.limit]
    return RepairList(
        tickets=[RepairSummary(**_summary(services.settings, row)) for row in page],
        next_cursor=write_cursor(str(page[-1].id)) if len(rows) > query.limit else None,
    )


def _filtered(query: RepairQuery) -> Select[Any]:
    statement = select(tickets)
    if query.status is not Shown.ALL:
        is_open = tickets.c.resolved_at.is_(None)
        statement = statement.where(is_open if query.status is Shown.OPEN else ~is_open)
    if query.kind is not None:
        statement = statement.where(tickets.c.kind == query.kind)
    if query.order_id is not None:
        statement = statement.where(tickets.c.order_id == query.order_id)
    return statement


async def read_ticket(services: Services, ticket_id: int) -> RepairView:
    """Raises RequestRefused (404)."""
    trail = select(actions).where(actions.c.ticket_id == ticket_id).order_by(actions.c.id)
    async with services.reads.connect() as connection:
        row = (await connection.execute(select(tickets).where(tickets.c.id == ticket_id))).one_or_none()
        if row is None:
            raise no_such_ticket()
        rows = (await connection.execute(trail)).all()
        words = await texts.read(connection, [id_ for one in rows for id_ in (one.note_id, one.evidence_id) if id_])
        order = (await connection.execute(_order_of(row.order_id))).one_or_none() if row.order_id else None
    rule = rule_of(row.kind, row.step)
    possible = {} if row.resolved_at else rule.decisions
    waits = row.resolved_at is None and rule.owner is Owner.SAGA and row.order_id is not None
    return RepairView(
        **_summary(services.settings, row),
        order=_order(order) if order else None,
        waiting=await _waiting(services, row.subject) if row.kind == OUR_FAULT else None,
        last_error=(await _pending_error(services, row) if waits else None) or row.detail,
        possible=[PossibleDecision(decision=decision, means=means) for decision, means in possible.items()],
        actions=[_action(one, words) for one in rows],
    )


def _action(row: Row[Any], words: texts.Words) -> TicketActionRow:
    return TicketActionRow(
        at=row.at,
        by=row.by,
        action=row.action,
        note=words[row.note_id] if row.note_id else row.note,
        evidence=words[row.evidence_id] if row.evidence_id else row.evidence,
    )


async def _waiting(services: Services, cause: str) -> WaitingOrders:
    async with services.sessions() as session:
        count = await our_faults.count_waiting(session, cause)
        return WaitingOrders(count=count, examples=await our_faults.some_waiting(session, cause))


def no_such_ticket() -> RequestRefused:
    return RequestRefused(404, "no-such-ticket", "there is no ticket of this id")


def repair_links(settings: Settings, ticket_id: int, order_id: str | None) -> RepairLinks:
    base = settings.public_url.rstrip("/")
    return RepairLinks(
        self=f"{base}/api/repairs/{ticket_id}",
        order=f"{base}/api/orders/{order_id}" if order_id else None,
        temporal=trace_link(settings, order_id) if order_id else None,
    )


def _summary(settings: Settings, row: Row[Any]) -> dict[str, Any]:
    rule = rule_of(row.kind, row.step)
    return {
        "ticket_id": str(row.id),
        "status": TicketStatus.RESOLVED if row.resolved_at else TicketStatus.OPEN,
        "kind": row.kind,
        "title": rule.title,
        "step": row.step,
        "order_id": row.order_id,
        "subject": row.subject,
        "detail": row.detail,
        "owner": rule.owner,
        "opened_at": row.opened_at,
        "resolved_at": row.resolved_at,
        "resolved_by": row.resolved_by,
        "links": repair_links(settings, row.id, row.order_id),
    }


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


def _order(row: Row[Any]) -> TicketOrder:
    return TicketOrder(
        status=OrderStatus(row.status),
        payment_status=PaymentStatus(row.payment_status),
        needs_attention=row.needs_attention,
        payment_intent_id=row.payment_intent_id,
        shipment_id=row.shipment_id,
        tracking_number=row.tracking_number,
    )


async def _pending_error(services: Services, row: Row[Any]) -> str | None:
    """What the engine last heard of the step while it retries it; None where it does not say so in time."""
    handle = services.temporal.get_workflow_handle(workflow_id(row.order_id))
    with suppress(RPCError, RuntimeError, TimeoutError):
        found = await handle.describe(rpc_timeout=ENGINE_PATIENCE)
        for pending in found.raw_description.pending_activities:
            if pending.activity_type.name == row.step and pending.HasField("last_failure"):
                return f"{pending.last_failure.message} (attempt {pending.attempt})"
    return None
