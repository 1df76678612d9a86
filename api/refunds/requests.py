"""A refund that is asked for: stored, handed to its workflow, answered when Stripe has said something."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import structlog
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import refund_workflow_id
from api.deps import Services
from api.http.authentication import Caller
from api.refunds.schemas import RefundView, RefundWanted, view_of
from domain.identities import Visible
from domain.money import Money
from domain.refunds import GiveRefund, RefundState
from engine.calls import is_engine_away
from engine.refunds import start_refund
from services.identities import approvals
from services.orders.named import named_order
from services.orders.pricing import Pieces
from services.orders.tables import Order
from services.refunds import requests
from services.refunds.requests import RefundRequest
from workflows.order_refund import OrderRefund

OUTCOME_UPDATE = "outcome"  # one constant id: every try of a request gets the first one's answer

log = structlog.get_logger()


async def give_refund(
    services: Services, order_id: str, key: str, wanted: RefundWanted, caller: Caller
) -> RefundView:
    """The refund as it is when Stripe has said something or the budget is over.

    Raises NotFound for an unknown order, and as `ask_refund` does.
    """
    items = [Pieces(item.product_id, item.quantity) for item in wanted.items]
    by = await _who(services, order_id, key, wanted, caller)
    asked = RefundRequest(key, wanted.amount, wanted.reason, by, items)
    async with named_order(services.book, order_id, caller.visible) as order:
        row = await requests.ask_refund(order, asked)
        amount, customer_id = Money(minor=row.amount_minor, currency=order.row.currency), order.row.customer_id
    if row.state == RefundState.ASKED:
        await _await_outcome(services, GiveRefund(order_id=order_id, key=key), amount, customer_id)
    view = await read_refund(services, order_id, key, caller.visible)
    log.info("refund", order_id=order_id, key=key, status=view.status.value)
    return view


async def _who(services: Services, order_id: str, key: str, wanted: RefundWanted, caller: Caller) -> str:
    """Who gives it: both, where so much needs two people. Raises Conflict for the first of them."""
    by, limit = caller.by(wanted.by), services.settings.second_person_from
    if limit is None:
        return by
    await read_refunds(services, order_id, caller.visible)
    amount = wanted.amount
    if amount is None:  # of pieces, whose worth is known under the order's lock: the whole order's at most
        async with services.sessions() as session:
            row = await session.get_one(Order, order_id)
        amount = Decimal(Money(minor=row.total_minor, currency=row.currency).decimal)
    if not approvals.needs_two(amount, limit):
        return by
    async with services.reads.connect() as connection:
        what = f"refund {key} of {wanted.amount or [(item.product_id, item.quantity) for item in wanted.items]}"
        return await approvals.ask(connection, order_id, what, caller.principal)


async def read_refund(services: Services, order_id: str, key: str, visible: Visible) -> RefundView:
    """Raises NotFound for an order or a refund that does not exist."""
    async with services.sessions() as session:
        return view_of(await requests.read_refund(session, order_id, key, visible))


async def read_refunds(services: Services, order_id: str, visible: Visible) -> list[RefundView]:
    """Oldest first. Raises NotFound for an order that does not exist."""
    async with services.sessions() as session:
        return [view_of(refund) for refund in await requests.read_refunds(session, order_id, visible)]


async def _await_outcome(services: Services, refund: GiveRefund, amount: Money, customer_id: str) -> None:
    """Until Stripe has said something, the budget is over, or the engine is away: the sweep starts it then."""
    budget = services.settings.checkout_budget
    handle = services.temporal.get_workflow_handle(refund_workflow_id(refund.order_id, refund.key))
    try:
        async with asyncio.timeout(budget):
            await start_refund(services.temporal, services.settings, refund, amount, customer_id)
            await handle.execute_update(OrderRefund.outcome, id=OUTCOME_UPDATE, rpc_timeout=timedelta(seconds=budget))
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, WorkflowUpdateFailedError) as error:
        log.info("refund_without_answer", order_id=refund.order_id, error=type(error).__name__)
    except (RPCError, RuntimeError) as error:
        ended = isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND
        if not (ended or is_engine_away(error)):
            raise
        log.warning("refund_without_answer", order_id=refund.order_id, error=type(error).__name__)
