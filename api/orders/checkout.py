"""A checkout: stores the order, hands it to its workflow, and answers from the row as soon as there is an answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from temporalio.client import (
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.clock import now
from adapters.temporal.client import workflow_id
from api.deps import Services
from api.http.authentication import Caller
from api.orders import card_tries
from api.orders.admission import Admission, Checkout, Turn
from api.orders.card_tries import Payer
from api.orders.fault_watch import HeldUp, unless_held_up
from api.orders.schemas import OrderWanted
from api.orders.view import OrderRecord, links, read_order
from domain.order_states import ANSWERED, OrderStatus
from engine.calls import engine_away, engine_calls
from engine.orders import start_of
from services.orders.hints import hint_placed
from services.orders.placement import StoredOrder, new_order_id, place, stored_order
from services.orders.pricing import unknown_customer
from services.orders.tables import Order
from workflows.order_fulfillment import OrderFulfillment

CHECKOUT_UPDATE = "checkout"  # one constant id: every try of a checkout gets the first one's answer
LOOK = timedelta(seconds=2)  # for the question whether a workflow started at all

log = structlog.get_logger()


async def check_out(services: Services, wanted: OrderWanted, key: str | None, caller: Caller) -> OrderRecord:
    """The order as it is when it has its answer or the budget is over.

    Raises as `place` does, TooMany after too many declined cards, and Unavailable where the engine is away or where
    it is one checkout too many, before anything is stored. One whose order an earlier try has stored is only put off.
    For somebody who may order for one customer only, any other customer is an unknown one.
    """
    if not caller.visible.shows(wanted.customer_id):
        raise unknown_customer()
    placed_by, admission = caller.principal.name, services.admission

    async def is_repeat() -> bool:
        return key is not None and bool(await stored_order(services.reads, placed_by, wanted.customer_id, key))

    await card_tries.require(services, Payer(wanted.customer_id, caller.address), is_repeat)
    stored, turn = await _turn(services, placed_by, wanted.customer_id, key)
    order_id = stored.order_id if stored else new_order_id(services.identities.order_ids, placed_by, key)
    with admission.take_on(order_id, turn) as checkout:
        async with admission.database():
            row = await place(services.sessions, wanted.to_place(order_id, key, services.settings, placed_by))
        hint_placed(services.hints)
        return await answered(services, checkout, row, caller.address)


async def answered(services: Services, checkout: Checkout, row: Order, address: str | None) -> OrderRecord:
    """The stored order as it is when it has its answer or the budget is over; `address` is a customer's own client's.

    Raises Unavailable where the engine is away.
    """
    order_id, admission = row.order_id, services.admission
    structlog.contextvars.bind_contextvars(order_id=order_id)
    is_awaited = checkout.turn is not Turn.LOOK and OrderStatus(row.status) not in ANSWERED
    carried_on = is_awaited and await _await_answer(services, row)
    async with admission.database():
        record = await read_order(services.reads, services.settings, order_id)
    if carried_on:
        _tell(admission, checkout, record)
        await card_tries.count(services, Payer(row.customer_id, address), record)
    log.info("checkout", order_id=order_id, status=record.view.status.value)
    return record


async def _turn(
    services: Services, placed_by: str, customer_id: str, key: str | None
) -> tuple[StoredOrder | None, Turn]:
    """What an earlier try has stored, where that was looked for, and how it goes on.

    Raises Unavailable where it is one too many.
    """
    admission = services.admission
    if (reason := await admission.too_many()) is None:
        return None, Turn.NEW
    stored = None
    if key is not None:
        async with admission.database():
            stored = await stored_order(services.reads, placed_by, customer_id, key)
    if stored is None:
        if (still := await admission.wait_in_line(reason)) is None:
            return None, Turn.NEW
        raise admission.refusal(still)
    if turn := admission.turn_of_repeat(*stored):
        return stored, turn
    order_links = links(services.settings, stored.order_id).model_dump()
    status = stored.status.value
    raise admission.refusal(reason, order_id=stored.order_id, order_status=status, links=order_links)


async def _await_answer(services: Services, row: Order) -> bool:
    """Whether a workflow has answered, or will; False where it has ended: then the row tells how the order stands."""
    budget = services.settings.checkout_budget
    try:
        async with asyncio.timeout(budget):
            with engine_calls():
                async with start_of(services.settings, row) as start:
                    update = services.temporal.execute_update_with_start_workflow(
                        OrderFulfillment.checkout,
                        start_workflow_operation=start,
                        id=CHECKOUT_UPDATE,
                        rpc_timeout=timedelta(seconds=budget),
                    )
                    await unless_held_up(services.reads, row.order_id, update)
    except HeldUp:
        log.warning("checkout_held_up", order_id=row.order_id)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        await _require_workflow(services, row.order_id)
    except (WorkflowUpdateFailedError, WorkflowAlreadyStartedError) as error:
        # The workflow has ended, or another one owns the order: the row tells how it stands.
        log.warning("checkout_without_answer", order_id=row.order_id, error=type(error).__name__)
        return False
    except RPCError as error:
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
            raise
        log.warning("checkout_without_answer", order_id=row.order_id, error=error.status.name)
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        await _require_workflow(services, row.order_id)  # its task keeps failing: it goes on when that is mended
    return True


def _tell(admission: Admission, checkout: Checkout, record: OrderRecord) -> None:
    """How long the order waited for a worker: until its answer, less what it was RESERVED."""
    status, rows = record.view.status, record.view.timeline
    if status is OrderStatus.PLACED:
        return admission.pending(checkout)
    reserved = next((row.at for row in rows if row.to is OrderStatus.RESERVED), None)
    left = next((row.at for row in rows if row.from_ is OrderStatus.RESERVED is not row.to), now())
    return admission.taken(checkout, elsewhere=(left - reserved).total_seconds() if reserved else 0.0)


async def _require_workflow(services: Services, order_id: str) -> None:
    """Tells "no worker answers" (the order goes on when one comes) from "the engine does not answer" (503)."""
    handle = services.temporal.get_workflow_handle(workflow_id(order_id))
    try:
        async with asyncio.timeout(LOOK.total_seconds()):
            with engine_calls():
                await handle.describe(rpc_timeout=LOOK)
    except (TimeoutError, RPCError):
        raise engine_away() from None
