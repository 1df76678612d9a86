"""Takes over an order whose workflow is gone (terminated, timed out, never started), under the same workflow id.

It undoes the order by the same steps as the saga and in the same order; a parcel that is on its way already cannot be
called back, so such an order goes forward instead. Whoever talks to the order finds the same signals and updates.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.inventory.inventory import Inventory
    from activities.payments.payments import Payments
    from activities.recovery.recovery import Recoveries
    from activities.shipping.labels import Shipping
    from activities.tickets.tickets import Tickets
    from domain.commands import Attention, CancelRequest, CheckoutAnswer, NewPaymentMethod, OrderRef
    from domain.order_states import FINAL, OrderStatus
    from domain.recovery import UNDONE, RecoverOrder, Standing
    from domain.repairs import SCAN_AFTER_VOID
    from workflows.order import search_attributes
    from workflows.order.order_workflow import OrderWorkflow
    from workflows.order.progress import Progress
    from workflows.saga.cancel_desk import CancelGranted
    from workflows.saga.saga import growing_pauses
    from workflows.saga.steps import StepFailed
    from workflows.saga.uninterrupted import to_the_end

RECOVERY = "recovery"
CONFIRMED = (OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP)


@workflow.defn
class OrderRecovery(OrderWorkflow):
    """One order. Workflow id `order-<order id>`; returns the status in which the order ended."""

    @workflow.init
    def __init__(self, order: RecoverOrder) -> None:
        progress = Progress(order, order.status, f"recovery: {order.why}")
        # Of an order that had ended when it was found, the undos are done, and look once more.
        ref = OrderRef(order_id=order.order_id, look_again=order.status in FINAL)
        super().__init__(progress, ref, order.cancels)
        self.order = order

    async def _recover(self, standing: Standing) -> None:
        """Undoes the order, or brings it to its end where its parcel is on its way."""
        status = standing.status
        if status is OrderStatus.DELIVERED or (status in UNDONE and status is not self.order.status):
            return  # it has come to its end since it was found
        if status is OrderStatus.SHIPPED:
            await self._go_forward()
            return
        for undo in (Inventory.release_inventory, Payments.return_payment, Shipping.cancel_shipment):
            self.saga.undos.run_first(undo)
        if await self.label.call_parcel_back():
            await self._go_back()
        elif status in CONFIRMED:
            await self._go_forward()
        else:
            why = f"the order is {status}, but the carrier has scanned its parcel"
            await self.saga.watch.call_person("ship_order", SCAN_AFTER_VOID, why)
            if status not in UNDONE:
                self.saga.undos.forget(Shipping.cancel_shipment)
                await self._go_back()

    # back

    async def _go_back(self) -> None:
        code, why = self.order.code, CancelRequest(reason=self.order.why, by=RECOVERY)
        if self.progress.status not in UNDONE:
            try:
                await self._tell_that_it_is_canceled(why)
            except CancelGranted as granted:
                code, why = "canceled", granted.request
        await self._undo(OrderStatus.REJECTED, code, why)  # one that was ever confirmed becomes CANCELED, by its row

    async def _tell_that_it_is_canceled(self, why: CancelRequest) -> None:
        """Makes a confirmed order CANCELING at once. Raises CancelGranted if somebody has asked for it."""
        await self.cancels.checkpoint()
        if self.progress.status in CONFIRMED:
            await self._begin_to_cancel(why, self.order.code, self.order.why)

    # forward

    async def _go_forward(self) -> None:
        if self.progress.status is OrderStatus.CONFIRMED:
            await self._capture()
            self.progress.reached(OrderStatus.READY_TO_SHIP, "payment captured")
        if self.progress.status is OrderStatus.READY_TO_SHIP:
            await self.parcel.left(has_left=True)
            self.progress.reached(OrderStatus.SHIPPED, "scanned by the carrier")
        await self.cancels.checkpoint()
        if await self.parcel.reached(ask_first=True):
            self.progress.reached(OrderStatus.DELIVERED, "delivered")

    async def _capture(self) -> None:
        """The parcel is on its way: a payment that cannot be taken any more is for a person to decide."""
        for pause in growing_pauses():
            decisions = self.saga.watch.decisions
            try:
                return await self.saga.step(Payments.capture_payment)
            except StepFailed as failed:
                await self._call_after_scan(failed)
                await self.saga.watch.pause(decisions, pause, "before trying to capture again")
                if failed.step in self.saga.watch.settled:
                    return None
        raise AssertionError("unreachable: the pauses never end")

    # the platform side

    async def _recover_and_settle(self) -> OrderStatus:
        """Recovers the order, then closes the tickets of its former workflow, which nobody waits for any more."""
        standing = await self.saga.insist(Recoveries.look_at_order)
        self.progress.reached(standing.status, "as its row has it")
        await self._recover(standing)
        for step in standing.tickets:
            await self.saga.insist(Tickets.close_tickets, Attention(order_id=self.order.order_id, step=step))
        if standing.tickets or standing.needs_attention:
            left = await self.saga.insist(Recoveries.look_at_order)
            flag = search_attributes.NEEDS_ATTENTION.value_set(left.needs_attention or bool(left.tickets))
            workflow.upsert_search_attributes([flag])
        return self.progress.status

    @workflow.run
    async def run(self, order: RecoverOrder) -> OrderStatus:
        """Raises CancelledError when the order was canceled natively: the workflow closes as canceled."""
        workflow.upsert_search_attributes(
            [
                search_attributes.ORDER_STATUS.value_set(order.status.value),
                search_attributes.CUSTOMER_ID.value_set(order.customer_id),
                search_attributes.ORDER_TOTAL.value_set(float(order.total.decimal)),
                search_attributes.NEEDS_ATTENTION.value_set(order.needs_attention),
            ]
        )
        return await to_the_end(self._recover_and_settle(), self.cancels, canceled=OrderStatus.CANCELED)

    # what a running order takes, and a recovery has no use for; the rest is in `order/order_workflow.py`

    @workflow.update
    async def pay(self, offer: NewPaymentMethod) -> CheckoutAnswer:
        """Refuses: nothing is sold here any more. Raises ApplicationError of type `no_payment_awaited`."""
        raise ApplicationError("the order waits for no payment method", type="no_payment_awaited")

    @workflow.signal
    def ship_now(self) -> None:
        """Nothing waits to be shipped here."""

    @workflow.signal
    def payment_changed(self) -> None:
        """Every undo looks at Stripe before it acts."""
