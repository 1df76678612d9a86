"""Calls to Temporal: how an order's workflow starts, and what it means when the engine does not answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from domain.commands import FulfillOrder
from domain.errors import RequestRefused
from domain.money import Money
from domain.order_states import OrderStatus
from services.orders.tables import Order
from workflows import search_attributes
from workflows.order_fulfillment import OrderFulfillment

Start = WithStartWorkflowOperation[OrderFulfillment, OrderStatus]

_ENGINE_AWAY = frozenset(
    [
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    ]
)


class UpdatePlaces:
    """How many updates this process has open with one order at a time, so that all processes together keep the limit.

    A workflow takes ten (https://docs.temporal.io/self-hosted-guide/defaults). One more is not only refused: the
    server then forgets the workflow tasks that it keeps in memory for the others, which the worker hears of as
    "Workflow task not found". Under a rush of refused ones no update is accepted any more.
    """

    def __init__(self, most: int = 3) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, order_id: str) -> Iterator[bool]:
        """Whether there is a place; it is kept until the block ends."""
        if self._taken[order_id] >= self._most:
            yield False
            return
        self._taken[order_id] += 1
        try:
            yield True
        finally:
            self._taken[order_id] -= 1
            if not self._taken[order_id]:
                del self._taken[order_id]


def engine_away() -> RequestRefused:
    return RequestRefused(503, "engine-away", "orders cannot be carried on right now; try again later")


def is_engine_away(error: BaseException) -> bool:
    if isinstance(error, RPCError):
        # A connection that breaks in the middle of a call is UNKNOWN to the SDK.
        broken = error.status is RPCStatusCode.UNKNOWN and error.message == "transport error"
        return broken or error.status in _ENGINE_AWAY
    # A lazy client's first call connects, and says so with nothing more precise than this.
    return isinstance(error, RuntimeError) and str(error).startswith("Failed client connect")


@contextmanager
def engine_calls() -> Iterator[None]:
    """Raises RequestRefused (503) where Temporal is away; other errors pass."""
    try:
        yield
    except (RPCError, RuntimeError) as error:
        if is_engine_away(error):
            raise engine_away() from error
        raise


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

    Raises WorkflowAlreadyStartedError where one was there and is over.
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
    )


def _start_options(settings: Settings, row: Order) -> dict[str, Any]:
    """Starts the order's workflow if it has none; an order that is over never starts again."""
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
