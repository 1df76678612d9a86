"""Writes down, around every attempt of an order's step, whether the order waits for a fault of ours.

A step that succeeds pays nothing for it: the row that it has locked anyway says whether there is anything to clear.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import BusinessRefusal, OurFault, OurMistake, StepUndone
from services.orders.book import LockedOrder, OrderBook
from services.orders.tables import Order
from services.tickets import our_faults

NOT_ABOUT_A_STEP = frozenset(
    [
        "open_ticket",
        "close_tickets",
        "resolve_ticket",
        "record_cancel_request",
        "record_cancel_refusal",
        "look_at_order",
        "ask_brake",
        "send_refund",
        "follow_refund",
    ]
)
"""What runs while a step of the order may still wait: it says nothing of that step."""

log = structlog.get_logger(__name__)


class OurFaults(Interceptor):
    """Must be inside of what translates errors and of what keeps the attempt alive."""

    def __init__(self, book: OrderBook) -> None:
        self.book = book

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Called by the SDK for each attempt."""
        return _Noting(next, self.book)


class _Noting(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, book: OrderBook) -> None:
        super().__init__(next)
        self._book = book

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        step = activity.info().activity_type
        order_id = getattr(input.args[0], "order_id", None) if input.args else None
        if order_id is None or step in NOT_ABOUT_A_STEP:
            return await super().execute_activity(input)
        waited: list[bool] = [False]
        _waited.set(waited)
        try:
            result = await super().execute_activity(input)
        except OurFault as fault:
            await self._try_to_note(order_id, partial(our_faults.wait, step=step, fault=fault))
            raise
        except Exception as error:
            if waited[0]:
                has_ended = isinstance(error, BusinessRefusal | OurMistake | StepUndone)
                await self._try_to_note(order_id, our_faults.go_on if has_ended else our_faults.fails_otherwise)
            raise
        if waited[0]:  # if this fails, the attempt fails: the next one finds the step done, and comes here again
            async with self._book.locked(order_id) as order:
                await our_faults.go_on(order)
        return result

    async def _try_to_note(self, order_id: str, note: Callable[[LockedOrder], Awaitable[None]]) -> None:
        """What the step says counts for more than a note about it: the next attempt writes what could not be."""
        try:
            async with self._book.locked(order_id) as order:
                await note(order)
        except Exception as error:
            log.warning("wait for a fault of ours not noted", order_id=order_id, error=type(error).__name__)


_waited: ContextVar[list[bool] | None] = ContextVar("waited", default=None)


def order_opened(row: Order) -> None:
    """For the order book: what the row says of the order that this attempt has locked."""
    waited = _waited.get()
    if waited is not None:
        waited[0] = row.waits_for is not None
