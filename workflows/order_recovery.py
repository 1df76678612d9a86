"""Takes over an order whose workflow is gone (terminated, timed out, never started), under the same workflow id.

It undoes the order by the same steps as the saga and in the same order; a parcel that is on its way already cannot be
called back, so such an order goes forward instead. Whoever talks to the order finds the same signals and updates.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, CancelledError

with workflow.unsafe.imports_passed_through():
    from activities.inventory.inventory import Inventory
    from activities.orders.orders import Orders
    from activities.payments.payments import Payments
    from activities.recovery.recovery import Recoveries
    from activities.shipping.parcels import Parcels
    from activities.shipping.shipping import Shipping
    from activities.tickets.tickets import Tickets
    from domain.commands import (
        Attention,
        CancelAnswer,
        CancelRequest,
        CheckoutAnswer,
        CloseOrder,
        NewPaymentMethod,
        OrderRef,
        ParcelStatus,
        RecordCancel,
    )
    from domain.order_states import ANSWERED, FINAL, OrderStatus
    from domain.recovery import UNDONE, RecoverOrder, Standing
    from domain.repairs import REFUSED_AFTER_SCAN, SCAN_AFTER_VOID, Resolution, ResolutionAnswer
    from workflows import policies, search_attributes
    from workflows.cancel_desk import CancelDesk, OrderCanceled
    from workflows.parcel_tickets import ParcelTickets, ParcelWrittenOff
    from workflows.progress import Progress
    from workflows.saga import Saga, StepFailed, slower_and_slower
    from workflows.summaries import summaries_of
    from workflows.uninterrupted import to_the_end

RECOVERY = "recovery"
SUMMARIES = {
    "look_at_order": "how does the order stand?",
    "close_tickets": "what the former workflow called a person about is settled",
}
CONFIRMED = (OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP)


@workflow.defn
class OrderRecovery:
    """One order. Workflow id `order-<order id>`; returns the status in which the order ended."""

    @workflow.init
    def __init__(self, order: RecoverOrder) -> None:
        self.order = order
        self.progress = Progress(order, order.status, f"recovery: {order.why}")
        self.cancels = CancelDesk(
            order.order_id, lambda: self.progress.status, self.progress.reached, asked_before=order.cancels
        )
        # Of an order that was over when it was found, the undos are done, and look once more.
        ref = OrderRef(order_id=order.order_id, look_again=order.status in FINAL)
        self.saga = Saga(ref, self.cancels.checkpoint, summaries_of(order) | SUMMARIES)
        self.cancels.saga = self.saga
        self.parcel = ParcelStatus.UNKNOWN
        self.code = ""

    async def _recover(self, standing: Standing) -> None:
        status = standing.status
        if status is OrderStatus.DELIVERED or (status in UNDONE and status is not self.order.status):
            return  # it has come to its end since it was found
        if status is OrderStatus.SHIPPED:
            await self._go_forward()
            return
        for undo in (Inventory.release_inventory, Payments.return_payment, Shipping.cancel_shipment):
            self.saga.undo_first(undo)
        called_back = await self.cancels.call_parcel_back()
        if called_back:
            await self._go_back()
        elif status in CONFIRMED:
            await self._go_forward()
        else:
            why = f"the order is {status}, but the carrier has scanned its parcel"
            await self.saga.watch.call_person("ship_order", SCAN_AFTER_VOID, why)
            if status not in UNDONE:
                self.saga.forget(Shipping.cancel_shipment)
                await self._go_back()

    # back

    async def _go_back(self) -> None:
        asked = CancelRequest(reason=self.order.why, by=RECOVERY)
        code = self.order.code
        if self.progress.status not in UNDONE:
            try:
                await self._begin_to_cancel()
            except OrderCanceled as canceled:
                code, asked = "canceled", canceled.request
        self.code = code
        await self.saga.undo_all()
        # An order that was ever confirmed becomes CANCELED: its row decides.
        close = CloseOrder(
            order_id=self.order.order_id,
            status=OrderStatus.REJECTED,
            code=code,
            detail=asked.reason,
            by=asked.by,
            text_id=asked.text_id,
        )
        closed = await self.saga.insist(Orders.close_order, close)
        self.progress.reached(closed.status, code)

    async def _begin_to_cancel(self) -> None:
        """Tells at once that a confirmed order is canceled. Raises OrderCanceled if somebody has asked to."""
        await self.cancels.checkpoint()
        if self.progress.status in CONFIRMED:
            request = CancelRequest(reason=self.order.why, by=RECOVERY)
            record = RecordCancel(order_id=self.order.order_id, number=0, request=request, code=self.order.code)
            await self.saga.insist(Orders.record_cancel_request, record)
            self.progress.reached(OrderStatus.CANCELING, self.order.why)
            await self.cancels.checkpoint()  # who asked meanwhile joins

    # forward

    async def _go_forward(self) -> None:
        if self.progress.status is OrderStatus.CONFIRMED:
            await self._capture()
            self.progress.reached(OrderStatus.READY_TO_SHIP, "payment captured")
        if self.progress.status is OrderStatus.READY_TO_SHIP:
            await self.saga.insist(Parcels.record_shipped)
            self.progress.reached(OrderStatus.SHIPPED, "scanned by the carrier")
        await self.cancels.checkpoint()
        if await self._arrives():
            await self.saga.insist(Parcels.record_delivered)
            self.progress.reached(OrderStatus.DELIVERED, "delivered")

    async def _capture(self) -> None:
        """The parcel is on its way: a payment that cannot be taken any more is for a person to decide."""
        for pause in slower_and_slower():
            nudges = self.saga.watch.nudges
            try:
                return await self.saga.step(Payments.capture_payment)
            except StepFailed as failed:
                why = f"{failed.detail}; the parcel is on its way, so nothing was undone"
                await self.saga.watch.call_person(failed.step, REFUSED_AFTER_SCAN, why)
                await self.cancels.refuse_all()
                await self.saga.watch.pause(nudges, pause, "before trying to capture again")
                if failed.step in self.saga.watch.decided:
                    return None
        raise AssertionError("unreachable: the pauses never end")

    async def _arrives(self) -> bool:
        """Waits for the parcel; False when a person has given it up."""
        tickets, told = ParcelTickets(self.saga.watch), False
        while True:
            if not told or tickets.asked_again:  # first of all: what came while nobody listened is lost
                seen = await self.saga.insist(Parcels.check_shipment)
                self.parcel = self.parcel.then(seen.status)
            try:
                said = await tickets.look(self.parcel, arrived=self._delivered)
            except ParcelWrittenOff:
                self.progress.tell("parcel written off")
                return False
            self.parcel = self.parcel.then(said)
            if self._delivered:
                await tickets.arrived()
                return True
            news = lambda: self._delivered or tickets.has_news(self.parcel)  # noqa: E731
            told = await self._wait(news, policies.TRACKING_POLL, "ask the carrier where the parcel is")

    @property
    def _delivered(self) -> bool:
        return self.parcel is ParcelStatus.DELIVERED

    async def _wait(self, ready: Callable[[], bool], time: timedelta, summary: str) -> bool:
        """Waits until `ready`, a request to cancel (which is decided) or the end of `time`; True when ready."""
        try:
            await workflow.wait_condition(
                lambda: ready() or self.cancels.waiting, timeout=time, timeout_summary=summary
            )
        except TimeoutError:
            return False
        await self.cancels.checkpoint()
        return ready()

    async def _recover_and_answer(self) -> OrderStatus:
        """Ends when everyone who asked something has an answer."""
        standing = await self.saga.insist(Recoveries.look_at_order)
        self.progress.reached(standing.status, "as its row has it")
        await self._recover(standing)
        for step in standing.tickets:  # about which the former workflow called a person
            settled = Attention(order_id=self.order.order_id, step=step)
            await self.saga.insist(Tickets.close_tickets, settled)
        if standing.tickets or standing.needs_attention:
            left = await self.saga.insist(Recoveries.look_at_order)
            flag = search_attributes.NEEDS_ATTENTION.value_set(left.needs_attention or bool(left.tickets))
            workflow.upsert_search_attributes([flag])
        while self.cancels.waiting or not workflow.all_handlers_finished():
            await workflow.wait_condition(lambda: self.cancels.waiting or workflow.all_handlers_finished())
            await self.cancels.checkpoint()
        return self.progress.status

    @workflow.run
    async def run(self, order: RecoverOrder) -> OrderStatus:
        workflow.upsert_search_attributes(
            [
                search_attributes.ORDER_STATUS.value_set(order.status.value),
                search_attributes.CUSTOMER_ID.value_set(order.customer_id),
                search_attributes.ORDER_TOTAL.value_set(float(order.total.decimal)),
                search_attributes.NEEDS_ATTENTION.value_set(order.needs_attention),
            ]
        )
        end = await to_the_end(self._recover_and_answer(), self.cancels.ask_natively)
        if end is OrderStatus.CANCELED and workflow.cancellation_reason() is not None:
            raise CancelledError("canceled on request; everything is undone")
        return end

    # what others say and ask, as of `OrderFulfillment`

    @workflow.update
    async def checkout(self) -> CheckoutAnswer:
        """Answers when the order is over, or at once when it had its answer before."""
        await workflow.wait_condition(lambda: self.progress.status in ANSWERED)
        return CheckoutAnswer(status=self.progress.status, code=self.code)

    @workflow.update
    async def pay(self, offer: NewPaymentMethod) -> CheckoutAnswer:
        raise ApplicationError("the order waits for no payment method", type="no_payment_awaited")

    @workflow.update
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Answers with the decision, not with the end of the undo."""
        asked = self.cancels.ask(request)
        await workflow.wait_condition(lambda: asked.answer is not None)
        assert asked.answer is not None
        return asked.answer

    @workflow.update
    async def resolve(self, wanted: Resolution) -> ResolutionAnswer:
        """What an operator decided about a ticket of this order."""
        return await self.saga.watch.resolve(wanted)

    @workflow.signal
    def cancel_order(self, given: Any = None) -> None:
        self.cancels.ask(CancelRequest.from_input(given))

    @workflow.signal
    def ship_now(self) -> None:
        """Nothing waits to be shipped here."""

    @workflow.signal
    def payment_changed(self) -> None:
        """Every undo looks at Stripe before it acts."""

    @workflow.signal
    def parcel_changed(self, status: ParcelStatus) -> None:
        self.parcel = self.parcel.then(status)
        self.cancels.pending_void.news = True
