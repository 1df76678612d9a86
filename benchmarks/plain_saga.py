"""The saga to compare with: three ordinary activities and a list of compensations, everything else left as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from benchmarks.database_steps import DatabaseSteps

PLAIN_QUEUE = "bench-plain"
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=5)
TIME_LIMIT = timedelta(seconds=10)


@dataclass
class PlainOrder:
    order_id: str


class PlainActivities:
    def __init__(self, steps: DatabaseSteps) -> None:
        self._steps = steps

    @activity.defn
    async def reserve_stock(self, order: PlainOrder) -> None:
        await self._steps.reserve(order.order_id)

    @activity.defn
    async def release_stock(self, order: PlainOrder) -> None:
        await self._steps.release(order.order_id)

    @activity.defn
    async def charge_payment(self, order: PlainOrder) -> None:
        await self._steps.pay(order.order_id)

    @activity.defn
    async def refund_payment(self, order: PlainOrder) -> None:
        await self._steps.refund(order.order_id)

    @activity.defn
    async def book_shipment(self, order: PlainOrder) -> None:
        await self._steps.ship(order.order_id)

    @activity.defn
    async def cancel_shipment(self, order: PlainOrder) -> None:
        await self._steps.unship(order.order_id)

    def all(self) -> list[Callable[..., Any]]:
        return [
            self.reserve_stock,
            self.release_stock,
            self.charge_payment,
            self.refund_payment,
            self.book_shipment,
            self.cancel_shipment,
        ]


STEPS: list[tuple[Any, Any]] = [
    (PlainActivities.reserve_stock, PlainActivities.release_stock),
    (PlainActivities.charge_payment, PlainActivities.refund_payment),
    (PlainActivities.book_shipment, PlainActivities.cancel_shipment),
]


@workflow.defn
class PlainSaga:
    @workflow.run
    async def run(self, order: PlainOrder) -> str:
        compensations: list[Any] = []
        try:
            for step, compensation in STEPS:
                compensations.append(compensation)
                await workflow.execute_activity_method(
                    step, order, start_to_close_timeout=TIME_LIMIT, retry_policy=RETRY
                )
        except ActivityError:
            for compensation in reversed(compensations):
                await workflow.execute_activity_method(
                    compensation, order, start_to_close_timeout=TIME_LIMIT, retry_policy=RETRY
                )
            raise
        return "COMPLETED"
