"""Carries out what an operator decides: by the order's workflow where one waits, else in the books at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from sqlmodel import col, select
from temporalio.client import (
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import refund_workflow_id, workflow_id
from api.deps import Services
from api.http.fields import bad_fields
from api.repairs.list import no_such_ticket, repair_links
from api.repairs.schemas import ResolutionView, ResolutionWanted
from domain.errors import RequestRefused
from domain.order_states import FINAL
from domain.repairs import (
    BRAKE,
    BY_STEP,
    PAYMENT_REFUNDED,
    REFUND_STEP,
    Owner,
    RepairDecision,
    Resolution,
    ResolutionAnswer,
    Rule,
    rule_of,
)
from engine.calls import engine_away, engine_calls
from engine.signals import signal
from services.brake import brake
from services.orders.book import OrderBook
from services.recovery.starts import start_recovery
from services.repairs import decisions
from services.tickets.tables import Ticket
from workflows.order_fulfillment import OrderFulfillment

PATIENCE = 25.0  # seconds: an attempt of the step that is under way ends first
UPDATE = "resolve"  # of every workflow that an order can have

log = structlog.get_logger()


class NoWorkflow(Exception):
    """No running workflow waits for the decision."""


async def resolve(services: Services, ticket_id: int, wanted: ResolutionWanted) -> ResolutionView:
    """What became of the decision.

    Raises RequestRefused: 404 for an unknown ticket, 409 for one that is resolved or a decision that is not possible,
    422 for missing evidence, 503 where the engine is away.
    """
    ticket = await _read(services, ticket_id)
    rule = rule_of(ticket.kind, ticket.step)
    _check(ticket, rule, wanted)
    async with services.sessions() as session, session.begin():
        said = Resolution(ticket_id=ticket_id, **wanted.model_dump())
        resolution = await decisions.without_words(session, ticket.order_id, said)
    try:
        if ticket.order_id is None:
            answer: ResolutionAnswer | None = await _about_no_order(services, resolution)
        elif rule.owner is Owner.SAGA:
            answer = await _by_workflow(services, ticket, resolution)
        else:
            answer = await _in_books(services, ticket.order_id, resolution)
    except NoWorkflow:
        answer = await _without_workflow(services, ticket, resolution)
    log.info("repair", ticket_id=ticket_id, decision=wanted.decision, code=answer.code if answer else "pending")
    return _view(services, ticket, answer)


async def _read(services: Services, ticket_id: int) -> Ticket:
    async with services.sessions() as session:
        ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise no_such_ticket()
    if ticket.order_id:
        structlog.contextvars.bind_contextvars(order_id=ticket.order_id)  # for every line of this request
    return ticket


def _check(ticket: Ticket, rule: Rule, wanted: ResolutionWanted) -> None:
    """What can be refused without asking anybody; whoever carries it out looks again, under the order's lock."""
    if ticket.resolved_at is not None:
        raise _refused(ticket, "ticket_resolved", f"{ticket.resolved_by} has settled it")
    if wanted.decision not in rule.decisions:
        raise _refused(ticket, "decision_not_possible", f"{wanted.decision} is not possible for this ticket")
    if wanted.decision is RepairDecision.MARK_DONE and not wanted.evidence:
        raise bad_fields({"evidence": "needed for mark_done: how it can be seen that it was done"})


async def _by_workflow(services: Services, ticket: Ticket, resolution: Resolution) -> ResolutionAnswer | None:
    """None while the workflow has accepted the decision but not carried it out. Raises NoWorkflow."""
    asked = None
    try:
        async with asyncio.timeout(PATIENCE):
            with _workflow_calls():
                asked = await _start_update(services, ticket, resolution)
                return await asked.result(rpc_timeout=timedelta(seconds=PATIENCE))
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        if asked is None:  # in the engine's memory at most
            raise engine_away() from None
        return None


async def _start_update(
    services: Services, ticket: Ticket, resolution: Resolution
) -> WorkflowUpdateHandle[ResolutionAnswer]:
    assert ticket.order_id is not None
    id_ = workflow_id(ticket.order_id)
    if ticket.step.startswith(REFUND_STEP):
        id_ = refund_workflow_id(ticket.order_id, ticket.step.removeprefix(REFUND_STEP))
    return await services.temporal.get_workflow_handle(id_).start_update(
        UPDATE,
        resolution,
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
        result_type=ResolutionAnswer,
        rpc_timeout=timedelta(seconds=services.settings.checkout_budget),
    )


@contextmanager
def _workflow_calls() -> Iterator[None]:
    """Raises NoWorkflow where there is none, or it ended before it decided."""
    try:
        with engine_calls():
            yield
    except WorkflowUpdateFailedError as error:
        raise NoWorkflow from error
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NoWorkflow from error


async def _without_workflow(services: Services, ticket: Ticket, resolution: Resolution) -> ResolutionAnswer:
    """Its workflow has ended: the books take the decision, and a recovery goes on from there."""
    assert ticket.order_id is not None
    of_refund, retry = ticket.step.startswith(REFUND_STEP), resolution.decision is RepairDecision.RETRY
    if of_refund or not (retry or ticket.step in BY_STEP):
        detail = "nobody carries this order on right now; try again when it was recovered"
        raise RequestRefused(503, "no-running-workflow", detail, orderId=ticket.order_id)
    return await _in_books(services, ticket.order_id, resolution)


async def _in_books(services: Services, order_id: str, resolution: Resolution) -> ResolutionAnswer:
    async with OrderBook(services.sessions).locked(order_id) as order:
        ticket = await order.session.get_one(Ticket, resolution.ticket_id)
        answer = await decisions.resolve(order, ticket, resolution)
        over, saga = order.status in FINAL, rule_of(ticket.kind, ticket.step).owner is Owner.SAGA
    if answer.accepted:
        wants_recovery = saga and (not over or resolution.decision is RepairDecision.RETRY)
        await _follow_up(services, ticket, resolution, wants_recovery)
    return answer


async def _follow_up(services: Services, ticket: Ticket, resolution: Resolution, wants_recovery: bool) -> None:
    assert ticket.order_id is not None
    retry = resolution.decision is RepairDecision.RETRY
    with engine_calls():
        if ticket.kind == PAYMENT_REFUNDED or (retry and ticket.kind.startswith("payment_")):
            await signal(services.temporal, ticket.order_id, OrderFulfillment.payment_changed)
        elif wants_recovery or retry:
            await start_recovery(
                services.temporal,
                services.sessions,
                services.settings.task_queue,
                ticket.order_id,
                f"ticket {ticket.id}: {ticket.kind}, {resolution.decision} by {resolution.by}",
            )


async def _about_no_order(services: Services, resolution: Resolution) -> ResolutionAnswer:
    async with services.sessions() as session, session.begin():
        query = select(Ticket).where(col(Ticket.id) == resolution.ticket_id).with_for_update()
        ticket = (await session.exec(query)).one()
        answer = await decisions.resolve_about(session, ticket, resolution)
        if answer.accepted and ticket.kind == BRAKE:
            await brake.release(session, resolution.by, resolution.note_id or resolution.evidence_id)
        return answer


def _view(services: Services, ticket: Ticket, answer: ResolutionAnswer | None) -> ResolutionView:
    if answer is not None and not answer.accepted:
        raise _refused(ticket, answer.code, answer.detail)
    assert ticket.id is not None
    return ResolutionView(
        ticket_id=str(ticket.id),
        accepted=True if answer else None,
        code=answer.code if answer else "resolution_pending",
        detail=answer.detail if answer else "accepted: the order's workflow carries it out",
        links=repair_links(services.settings, ticket.id, ticket.order_id),
    )


def _refused(ticket: Ticket, code: str, detail: str) -> RequestRefused:
    possible = sorted(rule_of(ticket.kind, ticket.step).decisions) if code == "decision_not_possible" else []
    members: dict[str, Any] = {
        "ticketId": str(ticket.id),
        "kind": ticket.kind,
        "possible": possible,
        "orderId": ticket.order_id,
    }
    return RequestRefused(409, code, detail, **{name: value for name, value in members.items() if value})
