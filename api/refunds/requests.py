"""A refund that is asked for: stored once under its key and the order's lock, handed to its workflow, read back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlmodel import col, select
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import refund_workflow_id
from api.deps import Services
from api.http.fields import bad_fields
from api.orders.view import no_such_order
from api.refunds.schemas import RefundView, RefundWanted, reason_of, view_of
from domain.commands import Hold
from domain.errors import RequestRefused
from domain.money import Money
from domain.order_states import OrderStatus
from domain.refunds import GiveRefund, RefundState
from domain.texts import ERASED, TextKind
from engine.calls import is_engine_away
from engine.refunds import start_refund
from services.orders.book import LockedOrder, OrderBook
from services.orders.tables import Order
from services.payments.book import payment_of
from services.refunds.book import refund_of, refundable
from services.refunds.tables import Refund
from services.texts import texts
from workflows.order_refund import OrderRefund

REASON = TextKind.REFUND_REASON
OUTCOME_UPDATE = "outcome"  # one constant id: every try of a request gets the first one's answer
GONE_BACK = frozenset([OrderStatus.CANCELING, OrderStatus.CANCELED])

log = structlog.get_logger()


@dataclass(frozen=True)
class Asked:
    row: Refund
    amount: Money
    customer_id: str


async def give_refund(services: Services, order_id: str, key: str, wanted: RefundWanted) -> RefundView:
    """The refund as it is when Stripe has said something or the budget is over.

    Raises RequestRefused: 404 for an unknown order, 409 with a named code for one that is not refunded or not so
    much, 422 for an amount that its currency has not, or a key that was used for another refund.
    """
    asked = await _ask(services, order_id, key, wanted)
    if asked.row.state == RefundState.ASKED:
        await _await_outcome(services, asked)
    view = await read_refund(services, order_id, key)
    log.info("refund", order_id=order_id, key=key, status=view.status.value)
    return view


async def read_refund(services: Services, order_id: str, key: str) -> RefundView:
    """Raises RequestRefused (404) for an order or a refund that does not exist."""
    for refund in await read_refunds(services, order_id):
        if refund.key == key:
            return refund
    raise RequestRefused(404, "no-such-refund", "the order has no refund of this key")


async def read_refunds(services: Services, order_id: str) -> list[RefundView]:
    """Oldest first. Raises RequestRefused (404) for an order that does not exist."""
    async with services.sessions() as session:
        order = await session.get(Order, order_id)
        if order is None:
            raise no_such_order()
        query = select(Refund).where(Refund.order_id == order_id)
        rows = (await session.exec(query.order_by(col(Refund.created_at), col(Refund.key)))).all()
        words = await texts.read(await session.connection(), [row.reason_id for row in rows if row.reason_id])
        return [view_of(row, order.currency, words) for row in rows]


async def _ask(services: Services, order_id: str, key: str, wanted: RefundWanted) -> Asked:
    try:
        async with OrderBook(services.sessions).locked(order_id) as order:
            amount = _amount(wanted, order.row.currency)
            row = await refund_of(order, key)
            if row is None:
                await _check(order, amount)
                reason_id = await texts.keep(order.session, REASON, wanted.reason, order_id=order_id)
                row = Refund(order_id=order_id, key=key, amount_minor=amount.minor, reason_id=reason_id,
                             by=wanted.by, state=RefundState.ASKED.value)  # fmt: skip
                order.session.add(row)
            elif not await _is_the_same(order, row, amount, wanted):
                raise RequestRefused(
                    422, "idempotency-key-reused", "this Idempotency-Key was used with another body; take a new one"
                )
            customer_id = order.row.customer_id
    except LookupError:
        raise no_such_order() from None
    return Asked(row, amount, customer_id)


async def _is_the_same(order: LockedOrder, row: Refund, amount: Money, wanted: RefundWanted) -> bool:
    """Whether what is asked for again is what was asked for; of an erased reason, any may be the one."""
    words = await texts.read(await order.session.connection(), [row.reason_id] if row.reason_id else [])
    same = (row.amount_minor, row.by) == (amount.minor, wanted.by)
    return same and reason_of(row, words) in (wanted.reason, ERASED)


def _amount(wanted: RefundWanted, currency: str) -> Money:
    try:
        amount = Money.parse(wanted.amount, currency)
    except ValueError as error:
        raise bad_fields({"amount": str(error)}) from None
    if amount.minor == 0:
        raise bad_fields({"amount": "more than 0 is needed"})
    return amount


async def _check(order: LockedOrder, amount: Money) -> None:
    """Raises RequestRefused (409) where so much of this order's money must not or cannot go back."""
    state: dict[str, Any] = {"orderId": order.row.order_id, "orderStatus": order.status.value}
    if order.status in GONE_BACK:
        raise RequestRefused(409, "order-canceled", "a canceled order is given back as a whole", **state)
    payment = await payment_of(order)
    if payment is None or payment.captured_minor == 0:
        raise RequestRefused(409, "not-captured", "no money of this order was captured", **state)
    if order.row.hold == Hold.DISPUTE:
        message = "the payment is disputed: the bank decides who has the money"
        raise RequestRefused(409, "payment-disputed", message, **state)
    left = Money(minor=await refundable(order, payment), currency=amount.currency)
    if amount.minor > left.minor:
        raise RequestRefused(
            409,
            "refund-exceeds-captured",
            f"{left} can still be refunded, not {amount}",
            errors=[{"field": "amount", "message": f"{left.decimal} at most"}],
            refundableAmount=left.decimal,
            currency=left.currency,
            **state,
        )


async def _await_outcome(services: Services, asked: Asked) -> None:
    """Until Stripe has said something, the budget is over, or the engine is away: the sweep starts it then."""
    refund = GiveRefund(order_id=asked.row.order_id, key=asked.row.key)
    budget = services.settings.checkout_budget
    handle = services.temporal.get_workflow_handle(refund_workflow_id(refund.order_id, refund.key))
    try:
        async with asyncio.timeout(budget):
            await start_refund(services.temporal, services.settings, refund, asked.amount, asked.customer_id)
            await handle.execute_update(OrderRefund.outcome, id=OUTCOME_UPDATE, rpc_timeout=timedelta(seconds=budget))
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, WorkflowUpdateFailedError) as error:
        log.info("refund_without_answer", order_id=refund.order_id, error=type(error).__name__)
    except (RPCError, RuntimeError) as error:
        ended = isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND
        if not (ended or is_engine_away(error)):
            raise
        log.warning("refund_without_answer", order_id=refund.order_id, error=type(error).__name__)
