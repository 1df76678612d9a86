"""The order's workflow as it may be tomorrow: changed the documented way, and in ways that break running orders.

Outside the sandbox, which would import this module's whole surroundings anew.
"""

from __future__ import annotations

from temporalio import workflow

from activities.inventory.inventory import Inventory
from activities.payments.payments import Payments
from activities.shipping.labels import Shipping
from activities.shipping.parcels import Parcels
from domain.commands import CancelRequest, FulfillOrder, PaymentTry
from domain.order_states import OrderStatus
from workflows.order_fulfillment import OrderFulfillment


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class WithALookAtTheParcel(OrderFulfillment):
    """The documented way: a step between the capture and the first scan, behind a patch."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order)

    async def _deliver(self) -> None:
        if workflow.patched("look-at-the-parcel"):
            await self.saga.insist(Parcels.check_shipment)
        await super()._deliver()

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class WithAnExtraStepFirst(OrderFulfillment):
    """Unsafe: something is looked up before anything else."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order)

    async def _fulfil(self) -> None:
        await self.saga.step(Payments.check_payment, PaymentTry(order_id=self.order.order_id))
        await super()._fulfil()

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class WithAnExtraTimer(OrderFulfillment):
    """Unsafe: somebody added a pause before shipping."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order)

    async def _wait_until_it_may_ship(self) -> None:
        await workflow.sleep(1)
        await super()._wait_until_it_may_ship()

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class WithStepsSwapped(OrderFulfillment):
    """Unsafe: somebody takes the money before the label is bought."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order)

    async def _fulfil(self) -> None:
        await self.saga.local_first(Inventory.reserve_inventory, undo=Inventory.release_inventory)
        self.progress.reached(OrderStatus.RESERVED, "stock reserved")
        await self.saga.local_first(Payments.authorize_payment, undo=Payments.return_payment)
        self.progress.reached(OrderStatus.CONFIRMED, "payment authorized")
        await self.saga.step(Payments.capture_payment)
        await self.saga.step(Shipping.ship_order, undo=Shipping.cancel_shipment)

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class WithAnUndoLeftOut(OrderFulfillment):
    """Unsafe: an undo is forgotten."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order)

    async def _undo(self, end: OrderStatus, code: str, why: CancelRequest) -> None:
        if self.saga.undos.owes(Inventory.release_inventory):
            self.saga.undos.forget(Inventory.release_inventory)
        await super()._undo(end, code, why)

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)
