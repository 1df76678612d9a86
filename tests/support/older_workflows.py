"""The order's workflow as a worker has it that is older than what starts its orders."""

from __future__ import annotations

from temporalio import workflow

from domain.commands import FulfillOrder
from domain.order_states import OrderStatus
from domain.processes import Process
from workflows.order_fulfillment import OrderFulfillment


@workflow.defn(name="OrderFulfillment")
class FromBeforeTheField(OrderFulfillment):
    """It knows one form of the process, and does not see that the order has another one."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order.model_copy(update={"process": Process.FIRST}))

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)
