"""Cancels an order: its workflow decides; where that is over, the order's row does, by the same table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from temporalio.client import (
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.tables import Order
from adapters.temporal import workflow_id
from api.deps import Services
from api.engine import engine_away, engine_calls, start_of
from api.order_schemas import CancelDecision, CancelWanted
from api.order_view import links, no_such_order
from domain.cancellation import Decision, decide
from domain.commands import CancelAnswer, CancelRequest
from domain.errors import RequestRefused
from domain.order_states import FINAL, OrderStatus
from workflows.order_fulfillment import OrderFulfillment

NOTE_TIMEOUT = 2.0  # seconds
BACKOFF = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0)  # seconds; a workflow takes ten updates at a time

log = structlog.get_logger()


class NoWorkflow(Exception):
    """There is no running workflow to ask."""


async def cancel_order(services: Services, order_id: str, wanted: CancelWanted) -> CancelDecision:
    """The decision on a cancel, or "pending" when none came in time.

    Raises RequestRefused: 404 for an unknown order, 409 with the code of the rule that refused, 503 where the
    engine is away or nobody carries the order on.
    """
    row = await _read(services, order_id)
    if _is_settled(row):
        return _by_table(services, row)
    try:
        decided = await _decide(services, row, CancelRequest.from_input(wanted.model_dump(), by="customer"))
    except NoWorkflow:
        return _by_table(services, await _read(services, order_id))
    log.info("cancel", order_id=order_id, code=decided.code if decided else "pending")
    if decided is None:
        return _pending(services, await _read(services, order_id))
    return _decided(services, order_id, decided)


async def _read(services: Services, order_id: str) -> Order:
    async with services.sessions() as session:
        row = await session.get(Order, order_id)
    if row is None:
        raise no_such_order()
    return row


def _is_settled(row: Order) -> bool:
    status = OrderStatus(row.status)
    return status in FINAL or status is OrderStatus.CANCELING


async def _decide(services: Services, row: Order, request: CancelRequest) -> CancelAnswer | None:
    """None when no decision came within the budget, a checkout's; the wish is kept all the same.

    Raises NoWorkflow.
    """
    asked, budget = None, services.settings.checkout_budget
    try:
        async with asyncio.timeout(budget):
            with _workflow_calls():
                asked = await _ask(services, row, request)
                return await asked.result(rpc_timeout=timedelta(seconds=budget))
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        if asked is None:
            await _leave_note(services, row.order_id, request)
        return None


async def _leave_note(services: Services, order_id: str, request: CancelRequest) -> None:
    """An update that no worker has accepted is only in the engine's memory; a signal is kept until one comes."""
    handle = services.temporal.get_workflow_handle(workflow_id(order_id))
    try:
        async with asyncio.timeout(NOTE_TIMEOUT):
            with _workflow_calls():
                await handle.signal(OrderFulfillment.cancel_order, request.model_dump())
    except TimeoutError:
        raise engine_away() from None


async def _ask(services: Services, row: Order, request: CancelRequest) -> WorkflowUpdateHandle[CancelAnswer]:
    """The request, once it is accepted, which means durable. Raises TimeoutError in a rush of cancels."""
    for pause in BACKOFF:
        try:
            return await _start_update(services, row, request)
        except RPCError as error:
            if error.status is not RPCStatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(pause)
    raise TimeoutError("the workflow took no further update in time")


async def _start_update(services: Services, row: Order, request: CancelRequest) -> WorkflowUpdateHandle[CancelAnswer]:
    handle = services.temporal.get_workflow_handle(workflow_id(row.order_id))
    stage, timeout = WorkflowUpdateStage.ACCEPTED, timedelta(seconds=services.settings.checkout_budget)
    try:
        return await handle.start_update(OrderFulfillment.cancel, request, wait_for_stage=stage, rpc_timeout=timeout)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND or row.status != OrderStatus.PLACED:
            raise
    # Placed while the engine was away: the workflow is started to be canceled, so that the order ends like any.
    async with start_of(services.settings, row) as start:
        return await services.temporal.start_update_with_start_workflow(
            OrderFulfillment.cancel,
            request,
            start_workflow_operation=start,
            wait_for_stage=stage,
            rpc_timeout=timeout,
        )


@contextmanager
def _workflow_calls() -> Iterator[None]:
    """Raises NoWorkflow where there is none, or it ended before it decided."""
    try:
        with engine_calls():
            yield
    except (WorkflowUpdateFailedError, WorkflowAlreadyStartedError) as error:
        raise NoWorkflow from error
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NoWorkflow from error


def _by_table(services: Services, row: Order) -> CancelDecision:
    status = OrderStatus(row.status)
    rule = decide(status)
    if rule.decision is Decision.REFUSED:
        raise _refused(services, row.order_id, status, rule.code)
    if rule.decision is not Decision.JOINED:
        raise RequestRefused(
            503,
            "no-running-workflow",
            "nobody carries this order on right now; try again later",
            orderId=row.order_id,
        )
    return CancelDecision(
        order_id=row.order_id,
        accepted=True,
        decision=rule.decision,
        code=rule.code,
        status=status,
        links=links(services.settings, row.order_id),
    )


def _decided(services: Services, order_id: str, answer: CancelAnswer) -> CancelDecision:
    if not answer.accepted:
        raise _refused(services, order_id, answer.status, answer.code)
    joined = answer.code.startswith("already_")
    return CancelDecision(
        order_id=order_id,
        accepted=True,
        decision=Decision.JOINED if joined else Decision.ACCEPTED,
        code=answer.code,
        status=answer.status,
        links=links(services.settings, order_id),
    )


def _pending(services: Services, row: Order) -> CancelDecision:
    return CancelDecision(
        order_id=row.order_id,
        accepted=None,
        decision="pending",
        code="cancel_pending",
        status=OrderStatus(row.status),
        links=links(services.settings, row.order_id),
    )


def _refused(services: Services, order_id: str, status: OrderStatus, code: str) -> RequestRefused:
    return RequestRefused(
        409,
        code,
        f"an order that is {status} cannot be canceled"
        if status is not OrderStatus.READY_TO_SHIP
        else "the parcel was scanned already",
        orderId=order_id,
        orderStatus=status.value,
        links=links(services.settings, order_id).model_dump(),
    )
