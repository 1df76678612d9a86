"""Carries out what an operator decides: by the order's workflow where one waits, else in the books at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import structlog
from temporalio.client import (
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError

from adapters.temporal.client import refund_workflow_id, workflow_id
from adapters.temporal.recoveries import start_recovery
from api.deps import Services
from api.http.authentication import Caller
from api.repairs.schemas import ResolutionView, ResolutionWanted
from api.repairs.view import repair_links
from domain.money import Money
from domain.repairs import REFUND_STEP, Owner, RepairDecision, Resolution, ResolutionAnswer, rule_of
from engine.calls import TAKES_NO_MORE, NoWorkflow, engine_away, engine_calls, workflow_calls
from engine.signals import signal
from services.identities import approvals
from services.orders.tables import Order
from services.recovery.starts import recovery_input
from services.repairs import decisions, desk
from services.repairs.desk import NextAction
from services.tickets.tables import Ticket
from workflows.order_fulfillment import OrderFulfillment

PATIENCE = 25.0  # seconds: an attempt of the step that is under way ends first
UPDATE, SIGNAL = "resolve", "resolve_later"  # of every workflow that an order can have

log = structlog.get_logger()


async def resolve(services: Services, ticket_id: int, wanted: ResolutionWanted, caller: Caller) -> ResolutionView:
    """What became of the decision.

    Raises NotFound for an unknown ticket, Conflict for one that is resolved or a decision that is not possible,
    InvalidInput for missing evidence, Unavailable where the engine is away.
    """
    said = Resolution(ticket_id=ticket_id, **wanted.model_dump() | {"by": caller.by(wanted.by)})
    ticket = await _find(services, ticket_id)
    desk.require_decidable(ticket, said)
    said = await _by_two(services, ticket_id, ticket, said, caller)
    async with services.sessions() as session, session.begin():
        resolution = await decisions.without_words(session, ticket.order_id, said)
    if ticket.order_id is not None:
        resolution = services.identities.actors.decided(ticket.order_id, resolution)
    try:
        answer = await _carry_out(services, ticket, resolution)
    except NoWorkflow:
        desk.require_books_decide(ticket, resolution)
        answer = await _in_books(services, ticket, resolution)
    log.info("repair", ticket_id=ticket_id, decision=wanted.decision, code=answer.code if answer else "pending")
    return _view(services, ticket, answer)


async def _by_two(services: Services, ticket_id: int, ticket: Ticket, said: Resolution, caller: Caller) -> Resolution:
    """With both names, where a write-off needs two people. Raises Conflict for the first of them."""
    limit = services.settings.second_person_from
    if limit is None or ticket.order_id is None or said.decision is not RepairDecision.WRITE_OFF:
        return said
    async with services.sessions() as session:
        row = await session.get_one(Order, ticket.order_id)
    total = Decimal(Money(minor=row.total_minor, currency=row.currency).decimal)
    if not approvals.needs_two(total, limit):
        return said
    async with services.reads.connect() as connection:
        what = approvals.write_off_of(ticket_id)
        by = await approvals.ask(connection, ticket.order_id, what, caller.principal)
    return said.model_copy(update={"by": by})


async def _find(services: Services, ticket_id: int) -> Ticket:
    async with services.sessions() as session:
        ticket = await desk.find_ticket(session, ticket_id)
    if ticket.order_id:
        structlog.contextvars.bind_contextvars(order_id=ticket.order_id)  # for every line of this request
    return ticket


async def _carry_out(services: Services, ticket: Ticket, resolution: Resolution) -> ResolutionAnswer | None:
    """None while a workflow has accepted the decision but not carried it out. Raises NoWorkflow."""
    if ticket.order_id is None:
        async with services.sessions() as session, session.begin():
            return await desk.settle_about_no_order(session, resolution)
    if rule_of(ticket.kind, ticket.step).owner is Owner.SAGA:
        return await _by_workflow(services, ticket, resolution)
    return await _in_books(services, ticket, resolution)


async def _by_workflow(services: Services, ticket: Ticket, resolution: Resolution) -> ResolutionAnswer | None:
    asked = None
    try:
        async with asyncio.timeout(PATIENCE):
            with workflow_calls():
                asked = await _start_update(services, ticket, resolution)
                return await asked.result(rpc_timeout=timedelta(seconds=PATIENCE)) if asked else None
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        if asked is None:  # in the engine's memory at most
            raise engine_away() from None
        return None


async def _start_update(
    services: Services, ticket: Ticket, resolution: Resolution
) -> WorkflowUpdateHandle[ResolutionAnswer] | None:
    """None where the workflow takes no further update, and has got a signal."""
    assert ticket.order_id is not None
    id_ = workflow_id(ticket.order_id)
    if ticket.step.startswith(REFUND_STEP):
        id_ = refund_workflow_id(ticket.order_id, ticket.step.removeprefix(REFUND_STEP))
    handle = services.temporal.get_workflow_handle(id_)
    try:
        return await handle.start_update(
            UPDATE,
            resolution,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            result_type=ResolutionAnswer,
            rpc_timeout=timedelta(seconds=services.settings.checkout_budget),
        )
    except RPCError as error:
        if error.status not in TAKES_NO_MORE:
            raise
    await handle.signal(SIGNAL, resolution)
    return None


async def _in_books(services: Services, ticket: Ticket, resolution: Resolution) -> ResolutionAnswer:
    assert ticket.order_id is not None
    settled = await desk.settle_in_books(services.book, ticket.order_id, resolution)
    with engine_calls():
        if settled.next_action is NextAction.LOOK_AT_PAYMENT:
            await signal(services.temporal, ticket.order_id, OrderFulfillment.payment_changed)
        elif settled.next_action is NextAction.RECOVER:
            why = f"ticket {ticket.id}: {ticket.kind}, {resolution.decision} by {resolution.by}"
            found = await recovery_input(services.sessions, ticket.order_id, why)
            if found is not None:
                await start_recovery(services.temporal, services.settings.task_queue, found)
    return settled.answer


def _view(services: Services, ticket: Ticket, answer: ResolutionAnswer | None) -> ResolutionView:
    if answer is not None and not answer.accepted:
        raise desk.refused(ticket, answer.code, answer.detail)
    assert ticket.id is not None
    return ResolutionView(
        ticket_id=str(ticket.id),
        accepted=True if answer else None,
        code=answer.code if answer else "resolution_pending",
        detail=answer.detail if answer else "accepted: the order's workflow carries it out",
        links=repair_links(services.settings, ticket.id, ticket.order_id),
    )
