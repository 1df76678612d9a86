"""Another payment method for an order whose card was declined: a new round on the same PaymentIntent."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import structlog
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import workflow_id
from api.deps import Services
from api.http.authentication import Caller
from api.orders import card_tries
from api.orders.card_tries import Payer
from api.orders.fault_watch import HeldUp, unless_held_up
from api.orders.schemas import PaymentWanted
from api.orders.view import OrderRecord, read_order
from domain.errors import Conflict
from domain.order_states import OrderStatus
from domain.payment_methods import stripe_method
from engine.calls import engine_calls
from workflows.order_fulfillment import OrderFulfillment

log = structlog.get_logger()


async def offer(
    services: Services, order_id: str, wanted: PaymentWanted, key: str | None, caller: Caller
) -> tuple[OrderRecord, bool]:
    """The order, and whether it has its answer: False when the budget was over first, and the payment goes on.

    Raises NotFound for an unknown order, Conflict for one that waits for no payment method, TooMany after too many
    declined cards, Unavailable where the engine is away.
    """
    record = await read_order(services.reads, services.settings, order_id, caller.visible)
    if record.view.status is not OrderStatus.AWAITING_CUSTOMER and key is None:
        raise _not_awaited(record)  # with a key it may be a repeat, whose first answer the workflow has kept
    payer, told = Payer(record.view.customer_id, caller.address), len(record.view.timeline)
    await card_tries.require(services, payer)
    try:
        method = stripe_method(wanted.payment_method, is_live=services.settings.stripe_is_live)
        await _pay(services, order_id, method, key)
        answered = True
    except (TimeoutError, HeldUp, WorkflowUpdateRPCTimeoutOrCancelledError):
        answered = False
    except WorkflowUpdateFailedError:
        raise _not_awaited(record) from None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise _not_awaited(record) from None
    record = await read_order(services.reads, services.settings, order_id)
    if answered and len(record.view.timeline) > told:  # else it was a repeat, which tried no card
        await card_tries.count(services, payer, record)
    log.info("payment_offered", order_id=order_id, status=record.view.status.value)
    return record, answered


async def _pay(services: Services, order_id: str, method: str, key: str | None) -> None:
    budget = services.settings.checkout_budget
    async with asyncio.timeout(budget):
        with engine_calls():
            update = services.temporal.get_workflow_handle(workflow_id(order_id)).execute_update(
                OrderFulfillment.pay,
                services.identities.actors.offered(order_id, method),
                id=f"pay-{key or secrets.token_hex(8)}",
                rpc_timeout=timedelta(seconds=budget),
            )
            await unless_held_up(services.reads, order_id, update)


def _not_awaited(record: OrderRecord) -> Conflict:
    view = record.view
    detail = f"the order waits for no payment method (it is {view.status})"
    if view.status is OrderStatus.AWAITING_CUSTOMER:
        detail = "its customer has to complete 3-D Secure, or another payment method is being tried"
    return Conflict(
        "no_payment_awaited",
        detail,
        order_id=view.order_id,
        order_status=view.status.value,
        links=view.links.model_dump(),
    )
