"""This service's use of the engine on the same three steps: its `Saga`, its policies, its early answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity, workflow
from temporalio.worker import Interceptor

with workflow.unsafe.imports_passed_through():
    from benchmarks.database_steps import DatabaseSteps
    from domain.commands import OrderRef
    from workflows.order.order_tickets import OrderTickets
    from workflows.saga.saga import Saga
    from workflows.saga.steps import StepFailed

OUR_QUEUE = "bench-ours"

WORDS = {"reserve_stock": "hold the stock", "charge_payment": "take the money", "book_shipment": "book the parcel"}


class OurActivities:
    def __init__(self, steps: DatabaseSteps) -> None:
        self._steps = steps

    @activity.defn
    async def reserve_stock(self, ref: OrderRef) -> None:
        await self._steps.reserve(ref.order_id)

    @activity.defn
    async def release_stock(self, ref: OrderRef) -> None:
        await self._steps.release(ref.order_id)

    @activity.defn
    async def charge_payment(self, ref: OrderRef) -> None:
        await self._steps.pay(ref.order_id)

    @activity.defn
    async def refund_payment(self, ref: OrderRef) -> None:
        await self._steps.refund(ref.order_id)

    @activity.defn
    async def book_shipment(self, ref: OrderRef) -> None:
        await self._steps.ship(ref.order_id)

    @activity.defn
    async def cancel_shipment(self, ref: OrderRef) -> None:
        await self._steps.unship(ref.order_id)

    def interceptors(self) -> list[Interceptor]:
        """Under the name that `worker.build_worker` asks for."""
        return []

    def methods(self) -> list[Callable[..., Any]]:
        """Likewise."""
        return [
            self.reserve_stock,
            self.release_stock,
            self.charge_payment,
            self.refund_payment,
            self.book_shipment,
            self.cancel_shipment,
        ]


@workflow.defn
class OurSaga:
    """Answers `checkout` when all three steps are done, as late as the plain saga's result."""

    @workflow.init
    def __init__(self, order: OrderRef) -> None:
        self.saga = Saga(order, OrderTickets(order.order_id), WORDS)
        self.status = ""

    @workflow.run
    async def run(self, order: OrderRef) -> str:
        try:
            await self.saga.local_first(OurActivities.reserve_stock, undo=OurActivities.release_stock)
            await self.saga.local_first(OurActivities.charge_payment, undo=OurActivities.refund_payment)
            await self.saga.local_first(OurActivities.book_shipment, undo=OurActivities.cancel_shipment)
            self.status = "COMPLETED"
        except StepFailed:
            await self.saga.undo_all()
            self.status = "REJECTED"
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status

    @workflow.update
    async def checkout(self) -> str:
        await workflow.wait_condition(lambda: bool(self.status))
        return self.status


@workflow.defn
class Empty:
    """Does nothing: what the engine takes for any workflow at all."""

    @workflow.run
    async def run(self) -> str:
        return "COMPLETED"
