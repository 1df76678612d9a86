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

from adapters import texts
from adapters.saga_tables import OrderStep, ShipmentRow
from adapters.tables import Order
from adapters.temporal import workflow_id
from api.deps import Services
from api.engine import engine_away, engine_calls, start_of
from api.order_schemas import CancelDecision, CancelWanted
from api.order_view import links, no_such_order
from domain.cancellation import TABLE, Decision, decide
from domain.commands import NO_REASON, CancelAnswer, CancelRequest, ParcelStatus
from domain.errors import RequestRefused
from domain.order_states import FINAL, OrderStatus
from domain.steps import CANCEL_SHIPMENT, SHIP
from domain.texts import TextKind
from workflows.order_fulfillment import OrderFulfillment

NOTE_TIMEOUT = 2.0  # seconds
PATIENCE = 2.0  # seconds until a wish that no workflow took up is noted; taking it up needs a hundredth of that
FIRST_LOOK, LAST_LOOK = 0.1, 0.8  # seconds between two looks at the books; doubled from the first to the last
TAKES_NO_MORE = (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.FAILED_PRECONDITION)
"""Of a workflow: ten updates at a time, two thousand in all."""
LABELED = (OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP)
"""States in which the parcel may have been scanned already."""

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
        decided = await _decide(services, row, await _request(services, order_id, wanted))
    except NoWorkflow:
        return _by_table(services, await _read(services, order_id))
    log.info("cancel", order_id=order_id, code=decided.code if decided else "pending")
    if decided is None:
        return _pending(services, await _read(services, order_id))
    return _decided(services, order_id, decided)


async def _request(services: Services, order_id: str, wanted: CancelWanted) -> CancelRequest:
    """What the workflow is asked: the customer's own words stay here as a text, and their id travels."""
    request = CancelRequest.from_input(wanted.model_dump(), by="customer")
    if not request.words:
        return request
    async with services.sessions() as session, session.begin():
        text_id = await texts.keep(session, TextKind.CANCEL_REASON, request.words, order_id=order_id)
    return request.model_copy(update={"reason": NO_REASON, "text_id": text_id})


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

    A workflow takes ten updates at a time. A wish that it does not take up is noted as a signal, and its decision is
    read from the books, where it stands for everybody. Raises NoWorkflow.
    """
    end = asyncio.get_running_loop().time() + services.settings.checkout_budget
    following = asyncio.create_task(_follow(services, row.order_id))
    try:
        asked = await _ask(services, row, request, following)
        async with asyncio.timeout_at(end):
            if asked is None:
                return await following
            with _workflow_calls():
                return await asked.result(rpc_timeout=timedelta(seconds=services.settings.checkout_budget))
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        return None
    finally:
        following.cancel()


async def _ask(
    services: Services, row: Order, request: CancelRequest, following: asyncio.Task[CancelAnswer]
) -> WorkflowUpdateHandle[CancelAnswer] | None:
    """The request, once it is accepted, which means durable; None where the books know the decision, or will."""
    asking = asyncio.create_task(_start_update(services, row, request))
    patience = min(PATIENCE, services.settings.checkout_budget / 2)
    try:
        await asyncio.wait({asking, following}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asking.cancel()  # the SDK would try again for longer than anybody waits
    await asyncio.wait({asking})
    with _workflow_calls():
        try:
            return asking.result()
        except (asyncio.CancelledError, WorkflowUpdateRPCTimeoutOrCancelledError):
            pass
        except RPCError as error:
            if error.status not in TAKES_NO_MORE:
                raise
    if not following.done():
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


async def _follow(services: Services, order_id: str) -> CancelAnswer:
    """The decision by the table, as soon as the books allow of no other."""
    pause = FIRST_LOOK
    while True:
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_LOOK)
        async with services.sessions() as session:
            row = await session.get_one(Order, order_id)
            parcel = await session.get(ShipmentRow, order_id)
            settled = await session.get(OrderStep, (order_id, CANCEL_SHIPMENT))
            shipped = await session.get(OrderStep, (order_id, SHIP))
        status = OrderStatus(row.status)
        rule = decide(status)
        # A scan is never taken back: as `cancel_shipment` decides, unless a person has taken the label off, or a void
        # is being asked for, which the carrier may have carried out before the scan.
        kept = settled is None and shipped is not None and shipped.state == "done"
        labeled = parcel is not None and parcel.state == "bought" and kept and status in LABELED
        if parcel is not None and labeled and ParcelStatus(parcel.parcel_status).scanned:
            rule = TABLE[OrderStatus.SHIPPED]
        if rule.decision in (Decision.JOINED, Decision.REFUSED):
            return CancelAnswer(accepted=rule.decision is Decision.JOINED, code=rule.code, status=status)


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
        "the parcel was scanned already" if status in LABELED else f"an order that is {status} cannot be canceled",
        orderId=order_id,
        orderStatus=status.value,
        links=links(services.settings, order_id).model_dump(),
    )
