"""Tickets: work for a person; at most one open per order, kind, step and subject, each with its audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import null
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters import texts
from adapters.columns import now
from adapters.order_book import LockedOrder
from adapters.repair_effects import take_effect
from adapters.repair_tables import Ticket, TicketAction
from adapters.settled_payments import keep_what_is_known
from domain.commands import Attention
from domain.events import EventName
from domain.repairs import RecordResolution, RepairDecision, Resolution, ResolutionAnswer, SettledTicket, rule_of
from domain.settled_payments import Known
from domain.texts import PLACE, TextKind

SAGA = "saga"


async def without_words(session: AsyncSession, order_id: str | None, wanted: Resolution) -> Resolution:
    """The decision with its note and evidence stored as texts, and their ids instead."""
    changes: dict[str, str] = {}
    if wanted.note:
        changes["note_id"] = await texts.keep(session, TextKind.REPAIR_NOTE, wanted.note, order_id=order_id)
    if wanted.evidence.strip():
        kind = TextKind.REPAIR_EVIDENCE
        changes["evidence_id"] = await texts.keep(session, kind, wanted.evidence, order_id=order_id)
    return wanted.model_copy(update={"note": "", "evidence": "", **changes})


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
        await order.emit(EventName.ORDER_NEEDS_ATTENTION, reason=about.kind)
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
    tickets = await _open_tickets(order)
    closed = [ticket for ticket in tickets if ticket.step == step]
    for ticket in closed:
        _close(order.session, ticket, SAGA)
        order.session.add(_action(ticket, SAGA, "closed"))
    order.row.needs_attention = len(tickets) > len(closed)
    if closed:
        order.note(f"got on by itself: {step}", by=SAGA)
        await order.emit(EventName.ORDER_RESOLVED, reason=step)


async def close_ticket_about(session: AsyncSession, kind: str, step: str, *, subject: str | None = None) -> None:
    """Closes the open ticket of no one order, if there is one: what it told is over."""
    query = select(Ticket).where(col(Ticket.order_id).is_(None), Ticket.kind == kind, Ticket.step == step)
    query = query.where(col(Ticket.subject).is_not_distinct_from(subject))
    for ticket in await session.exec(query.where(col(Ticket.resolved_at).is_(None)).with_for_update()):
        _close(session, ticket, step)
        session.add(_action(ticket, step, "closed"))


async def open_subjects(session: AsyncSession, kind: str, step: str) -> list[str | None]:
    """What the open tickets of no one order, of this kind and step, are about."""
    query = select(Ticket.subject).where(col(Ticket.order_id).is_(None), Ticket.kind == kind, Ticket.step == step)
    return list(await session.exec(query.where(col(Ticket.resolved_at).is_(None))))


async def asked_again(order: LockedOrder, step: str, since: datetime) -> bool:
    """Whether a person has asked to try the step again since."""
    query = select(TicketAction.id).join(Ticket).where(Ticket.order_id == order.row.order_id, Ticket.step == step)
    query = query.where(TicketAction.action == RepairDecision.RETRY.value, TicketAction.at > since)
    return (await order.session.exec(query.limit(1))).first() is not None


async def wants_retry(session: AsyncSession, kind: str, step: str) -> bool:
    """Whether a person has answered the open ticket of no one order with a retry."""
    query = select(TicketAction.id).join(Ticket).where(col(Ticket.order_id).is_(None), Ticket.kind == kind)
    query = query.where(Ticket.step == step, col(Ticket.resolved_at).is_(None))
    query = query.where(TicketAction.action == RepairDecision.RETRY.value)
    return (await session.exec(query.limit(1))).first() is not None


async def open_steps(order: LockedOrder) -> list[str]:
    """The steps about which tickets of the order are open."""
    return sorted({ticket.step for ticket in await _open_tickets(order)})


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
    order.mark(fence, "done", settled.model_dump(mode="json"))
    return settled


async def resolve(order: LockedOrder, ticket: Ticket, wanted: Resolution) -> ResolutionAnswer:
    """Carries out what an operator decided: in the books, on the ticket, in the audit trail, under the order's lock.

    A retry leaves the ticket open: it closes when the step gets on.
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
        _close(order.session, ticket, wanted.by)
        others = [one for one in await _open_tickets(order) if one.id != ticket.id]
        order.row.needs_attention = bool(others)
        await order.emit(EventName.ORDER_RESOLVED, reason=ticket.kind)
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
        _close(session, ticket, wanted.by)
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


async def _open(session: AsyncSession, row: _Opened, by: str) -> tuple[int, bool]:
    """The open ticket's id, and whether it is new."""
    values = row._asdict() | {"seen": row.seen.model_dump() if row.seen else null()}
    new = insert(Ticket).values(**values, opened_at=now()).on_conflict_do_nothing().returning(col(Ticket.id))
    connection = await session.connection()
    made = (await connection.execute(new)).scalar_one_or_none()
    if made is not None:
        session.add(TicketAction(ticket_id=made, at=now(), by=by, action="opened", note=row.detail))
        return int(made), True
    same_order = Ticket.order_id == row.order_id if row.order_id else col(Ticket.order_id).is_(None)
    known = select(Ticket.id).where(same_order, Ticket.kind == row.kind, Ticket.step == row.step)
    known = known.where(col(Ticket.subject).is_not_distinct_from(row.subject))
    found = (await session.exec(known.where(col(Ticket.resolved_at).is_(None)))).one()
    assert found is not None
    return found, False


async def _open_tickets(order: LockedOrder) -> list[Ticket]:
    query = select(Ticket).where(Ticket.order_id == order.row.order_id, col(Ticket.resolved_at).is_(None))
    return list(await order.session.exec(query))


def _close(session: AsyncSession, ticket: Ticket, by: str) -> None:
    ticket.resolved_at, ticket.resolved_by = now(), by
    session.add(ticket)


def _action(ticket: Ticket, by: str, action: str) -> TicketAction:
    assert ticket.id is not None
    return TicketAction(ticket_id=ticket.id, at=now(), by=by, action=action)


def _decision(ticket: Ticket, wanted: Resolution) -> TicketAction:
    action = _action(ticket, wanted.by, wanted.decision)
    action.note_id, action.evidence_id = wanted.note_id, wanted.evidence_id
    return action
