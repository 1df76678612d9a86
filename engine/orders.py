"""How an order's workflow starts: once, with the order's ids and amounts and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from domain.commands import FulfillOrder
from domain.money import Money
from domain.order_states import OrderStatus
from domain.processes import NEWEST
from services.orders.tables import Order
from workflows.order import search_attributes
from workflows.order_fulfillment import OrderFulfillment

Start = WithStartWorkflowOperation[OrderFulfillment, OrderStatus]


@asynccontextmanager
async def start_of(settings: Settings, row: Order) -> AsyncIterator[Start]:
    """The start of the order's workflow, to go along with the update that runs inside the block."""
    operation = _start_operation(settings, row)
    try:
        yield operation
    except BaseException:
        await _forget(operation)
        raise


async def _forget(operation: Start) -> None:
    """Looks at the result of a start whose update failed: the SDK logs a traceback for one that nobody looked at."""
    with suppress(Exception, asyncio.CancelledError):
        async with asyncio.timeout(0):
            await operation.workflow_handle()


async def start_signaled(temporal: Client, settings: Settings, row: Order, signal: str, argument: Any) -> None:
    """Signals the order's workflow, which is started if there is none, in one call.

    Raises WorkflowAlreadyStartedError where one was there and has ended.
    """
    options = _start_options(settings, row)
    await temporal.start_workflow(
        OrderFulfillment.run, _message(settings, row), start_signal=signal, start_signal_args=[argument], **options
    )


def _start_operation(settings: Settings, row: Order) -> Start:
    return WithStartWorkflowOperation(OrderFulfillment.run, _message(settings, row), **_start_options(settings, row))


def _message(settings: Settings, row: Order) -> FulfillOrder:
    return FulfillOrder(
        order_id=row.order_id,
        customer_id=row.customer_id,
        total=Money(minor=row.total_minor, currency=row.currency),
        ship_not_before=row.ship_not_before,
        grace_period=settings.grace_period,
        payment_retry_window=settings.payment_retry_window,
        customer_patience=settings.customer_patience,
        process=NEWEST,
    )


def _start_options(settings: Settings, row: Order) -> dict[str, Any]:
    """Starts the order's workflow if it has none; an order that has ended never starts again."""
    amount = Money(minor=row.total_minor, currency=row.currency)
    address = f"{settings.public_url.rstrip('/')}/api/orders/{row.order_id}"
    return {
        "id": workflow_id(row.order_id),
        "task_queue": settings.task_queue,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
        "search_attributes": _search_attributes(row, amount),
        "static_summary": f"Order of {amount}",
        "static_details": f"[Order {row.order_id}]({address}): {amount}, [timeline]({address}/events)",
    }


def _search_attributes(row: Order, amount: Money) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(search_attributes.ORDER_STATUS, OrderStatus.PLACED.value),
            SearchAttributePair(search_attributes.CUSTOMER_ID, row.customer_id),
            SearchAttributePair(search_attributes.ORDER_TOTAL, float(amount.decimal)),
            SearchAttributePair(search_attributes.NEEDS_ATTENTION, False),
        ]
    )
