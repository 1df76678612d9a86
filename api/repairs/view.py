"""Tickets as operators see them: the list, and one with all that is needed to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.service import RPCError

from adapters.settings import Settings
from adapters.temporal.client import trace_link, workflow_id
from adapters.temporal.encryption import message_of
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
from domain.order_states import OrderStatus, PaymentStatus
from domain.repairs import OUR_FAULT, Owner, rule_of
from services.identities import approvals
from services.insight import tickets
from services.insight.tickets import ActionRow, TicketFilter, TicketOrderRow, TicketRow
from services.texts.texts import Words

ENGINE_PATIENCE = timedelta(seconds=2)  # for what only makes a ticket easier to understand
IS_OPEN = {Shown.OPEN: True, Shown.RESOLVED: False, Shown.ALL: None}


async def list_tickets(services: Services, query: RepairQuery) -> RepairList:
    """One page, newest first. Raises InvalidInput for a cursor that is none."""
    before = None if query.cursor is None else read_number(read_cursor(query.cursor, 1)[0])
    wanted = TicketFilter(is_open=IS_OPEN[query.status], kind=query.kind, order_id=query.order_id)
    rows = await tickets.list_tickets(services.reads, wanted, query.limit + 1, before)
    page = rows[: query.limit]
    return RepairList(
        tickets=[RepairSummary(**one) for one in await _summaries(services, page)],
        next_cursor=write_cursor(str(page[-1].id)) if len(rows) > query.limit else None,
    )


async def read_ticket(services: Services, ticket_id: int) -> RepairView:
    """Raises NotFound."""
    found = await tickets.read_ticket(services.reads, ticket_id)
    row, rule = found.row, rule_of(found.row.kind, found.row.step)
    possible = {} if row.resolved_at else rule.decisions
    waits = row.resolved_at is None and rule.owner is Owner.SAGA and row.order_id is not None
    return RepairView(
        **(await _summaries(services, [row]))[0],
        order=_order(found.order) if found.order else None,
        waiting=await _waiting(services, row.subject) if row.kind == OUR_FAULT else None,
        last_error=(await _pending_error(services, row) if waits else None) or row.detail,
        possible=[PossibleDecision(decision=decision, means=means) for decision, means in possible.items()],
        actions=[_action(one, found.words) for one in found.trail],
    )


async def _waiting(services: Services, cause: str) -> WaitingOrders:
    waiting = await tickets.waiting_for(services.sessions, cause)
    return WaitingOrders(count=waiting.count, examples=waiting.examples)


def _action(row: ActionRow, words: Words) -> TicketActionRow:
    return TicketActionRow(
        at=row.at,
        by=row.by,
        action=row.action,
        note=words[row.note_id] if row.note_id else row.note,
        evidence=words[row.evidence_id] if row.evidence_id else row.evidence,
    )


def repair_links(settings: Settings, ticket_id: int, order_id: str | None) -> RepairLinks:
    base = settings.public_url.rstrip("/")
    return RepairLinks(
        self=f"{base}/api/repairs/{ticket_id}",
        order=f"{base}/api/orders/{order_id}" if order_id else None,
        temporal=trace_link(settings, order_id) if order_id else None,
    )


async def _summaries(services: Services, rows: Sequence[TicketRow]) -> list[dict[str, Any]]:
    """With who has asked for a write-off that another person has to ask for as well, where that is so."""
    open_rows = [row for row in rows if row.order_id and not row.resolved_at]
    asked: Mapping[tuple[str, str], str] = {}
    if open_rows and services.settings.second_person_from is not None:
        asked = await approvals.waiting(services.reads, [row.order_id for row in open_rows if row.order_id])
    return [
        _summary(services.settings, row)
        | {"asked_by": asked.get((row.order_id or "", approvals.write_off_of(row.id)))}
        for row in rows
    ]


def _summary(settings: Settings, row: TicketRow) -> dict[str, Any]:
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


def _order(row: TicketOrderRow) -> TicketOrder:
    return TicketOrder(
        status=OrderStatus(row.status),
        payment_status=PaymentStatus(row.payment_status),
        needs_attention=row.needs_attention,
        payment_intent_id=row.payment_intent_id,
        shipment_id=row.shipment_id,
        tracking_number=row.tracking_number,
    )


async def _pending_error(services: Services, row: TicketRow) -> str | None:
    """What the engine last heard of the step while it retries it; None where it does not say so in time."""
    handle = services.temporal.get_workflow_handle(workflow_id(row.order_id))
    with suppress(RPCError, RuntimeError, TimeoutError):
        found = await handle.describe(rpc_timeout=ENGINE_PATIENCE)
        for pending in found.raw_description.pending_activities:
            if pending.activity_type.name == row.step and pending.HasField("last_failure"):
                message = await message_of(pending.last_failure, services.temporal.data_converter)
                return f"{message} (attempt {pending.attempt})"
    return None
