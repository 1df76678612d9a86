"""Carries out what operators decide about tickets: in the books, on the ticket, in the audit trail."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from domain.events import EventName
from domain.repairs import (
    RecordResolution,
    RepairDecision,
    Resolution,
    ResolutionAnswer,
    SettledTicket,
    rule_of,
)
from domain.steps import FenceState
from domain.texts import PLACE, TextKind
from services.orders.book import LockedOrder
from services.orders.unproven import note_unproven
from services.repairs.effects import take_effect
from services.repairs.settled_payments import keep_what_is_known
from services.texts import texts
from services.tickets.book import action_of, close, open_steps, open_tickets
from services.tickets.tables import Ticket, TicketAction, TrailAction


async def without_words(session: AsyncSession, order_id: str | None, wanted: Resolution) -> Resolution:
    """The decision with its note and evidence stored as texts, and their ids instead."""
    changes: dict[str, str] = {}
    if wanted.note:
        changes["note_id"] = await texts.keep(session, TextKind.REPAIR_NOTE, wanted.note, order_id=order_id)
    if wanted.evidence.strip():
        kind = TextKind.REPAIR_EVIDENCE
        changes["evidence_id"] = await texts.keep(session, kind, wanted.evidence, order_id=order_id)
    return wanted.model_copy(update={"note": "", "evidence": "", **changes})


async def resolve_once(order: LockedOrder, record: RecordResolution) -> SettledTicket:
    """The same resolution again gets the same answer, and writes nothing."""
    fence = f"resolution_{record.key}"
    if (answered := order.result_of(fence)) is not None:
        return SettledTicket.model_validate(answered)
    ticket = await order.session.get(Ticket, record.resolution.ticket_id)
    if ticket is None or ticket.order_id != order.row.order_id:
        detail = "the order has no ticket of this id"
        return SettledTicket(answer=ResolutionAnswer(accepted=False, code="no_such_ticket", detail=detail))
    answer = await resolve(order, ticket, record.resolution)
    settled = SettledTicket(answer=answer, step=ticket.step, open_steps=await open_steps(order))
    order.mark(fence, FenceState.DONE, settled.model_dump(mode="json"))
    return settled


def refuse_unproven(order: LockedOrder, record: RecordResolution) -> SettledTicket:
    """For a decision that somebody sent to the workflow by hand: nothing is done, and the timeline tells it."""
    wanted = record.resolution
    about = f"{wanted.decision} of ticket {wanted.ticket_id}"
    note_unproven(order, "resolve", f"refused: {about} did not come by the repair desk", wanted.by)
    detail = "decide by the API or the command: this one has no proof of who made it"
    return SettledTicket(answer=ResolutionAnswer(accepted=False, code="unproven", detail=detail))


async def resolve(order: LockedOrder, ticket: Ticket, wanted: Resolution) -> ResolutionAnswer:
    """Carries out what an operator decided: in the books, on the ticket, in the audit trail, under the order's lock.

    A retry leaves the ticket open: it closes when the step succeeds.
    """
    refused = _refusal(ticket, wanted)
    if refused:
        return refused
    wanted = await without_words(order.session, order.row.order_id, wanted)
    if wanted.decision is not RepairDecision.RETRY:
        await keep_what_is_known(order, ticket)
        if not await take_effect(order, ticket.step, ticket.kind, wanted):
            detail = f"{ticket.step} has succeeded meanwhile: the ticket closes by itself"
            return ResolutionAnswer(accepted=False, code="step_done_already", detail=detail)
        close(order.session, ticket, wanted.by)
        others = [one for one in await open_tickets(order) if one.id != ticket.id]
        order.row.needs_attention = bool(others)
        order.emit(EventName.ORDER_RESOLVED, reason=ticket.kind)
    said, quoted = _told(ticket, wanted)
    order.note(said, by=wanted.by, texts=quoted)
    order.session.add(_decision(ticket, wanted))
    return _accepted(ticket, wanted)


async def resolve_about(session: AsyncSession, ticket: Ticket, wanted: Resolution) -> ResolutionAnswer:
    """The same for a ticket of no one order, whose row the caller has locked."""
    refused = _refusal(ticket, wanted)
    if refused:
        return refused
    wanted = await without_words(session, None, wanted)
    if wanted.decision is not RepairDecision.RETRY:
        close(session, ticket, wanted.by)
    session.add(_decision(ticket, wanted))
    return _accepted(ticket, wanted)


def _refusal(ticket: Ticket, wanted: Resolution) -> ResolutionAnswer | None:
    if ticket.resolved_at is not None:
        detail = f"{ticket.resolved_by} has settled it"
        return ResolutionAnswer(accepted=False, code="ticket_resolved", detail=detail)
    possible = rule_of(ticket.kind, ticket.step).decisions
    if wanted.decision not in possible:
        detail = f"{wanted.decision} is not possible for {ticket.kind} of {ticket.step}: {', '.join(possible)}"
        return ResolutionAnswer(accepted=False, code="decision_not_possible", detail=detail)
    if wanted.decision is RepairDecision.MARK_DONE and not (wanted.evidence_id or wanted.evidence.strip()):
        return ResolutionAnswer(accepted=False, code="evidence_missing", detail="mark_done needs evidence")
    return None


def _accepted(ticket: Ticket, wanted: Resolution) -> ResolutionAnswer:
    means = rule_of(ticket.kind, ticket.step).decisions[wanted.decision]
    code = "retrying" if wanted.decision is RepairDecision.RETRY else "resolved"
    return ResolutionAnswer(accepted=True, code=code, detail=means)


def _told(ticket: Ticket, wanted: Resolution) -> tuple[str, list[str]]:
    """For the timeline: what was decided, and the texts that it quotes."""
    said = {
        RepairDecision.RETRY: f"try again: {ticket.step}",
        RepairDecision.MARK_DONE: f"done by hand: {ticket.step}: {PLACE}",
        RepairDecision.WRITE_OFF: f"written off: {ticket.step}: {ticket.kind}",
    }[wanted.decision]
    quoted = [wanted.evidence_id] if wanted.decision is RepairDecision.MARK_DONE and wanted.evidence_id else []
    return (f"{said} ({PLACE})", [*quoted, wanted.note_id]) if wanted.note_id else (said, quoted)


def _decision(ticket: Ticket, wanted: Resolution) -> TicketAction:
    action = action_of(ticket, wanted.by, TrailAction(wanted.decision))
    action.note_id, action.evidence_id = wanted.note_id, wanted.evidence_id
    return action
