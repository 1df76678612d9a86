"""An order from checkout to delivery, or fully undone: the business process, readable in `_fulfil`.

Reserve the stock, authorize the payment (now the customer has the answer), buy the label, capture the payment, and
follow the parcel. Whatever goes wrong on the way is undone, newest first. The tricky parts are elsewhere: undo,
retries and cancels, as of any saga, in `saga/`; the desks for payment, label and parcel in `order/`.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.inventory.inventory import Inventory
    from activities.orders.orders import Orders
    from activities.payments.payments import Payments
    from activities.shipping.labels import Shipping
    from domain.commands import CancelRequest, CheckoutAnswer, FulfillOrder, NewPaymentMethod, OrderRef
    from domain.order_states import OrderStatus
    from domain.processes import Process
    from workflows.order.cancel_rules import SCANNED
    from workflows.order.order_workflow import OrderWorkflow
    from workflows.order.payment_desk import PaymentDesk
    from workflows.order.progress import Progress
    from workflows.saga.cancel_desk import CancelGranted
    from workflows.saga.saga import growing_pauses
    from workflows.saga.steps import StepFailed
    from workflows.saga.uninterrupted import to_the_end


@workflow.defn
class OrderFulfillment(OrderWorkflow):
    """One order. Workflow id `order-<order id>`; returns the status in which the order ended."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        lean = order.process >= Process.LEAN
        super().__init__(Progress(order, lean=lean), OrderRef(order_id=order.order_id), lean=lean)
        self.order, self._lean = order, lean
        self.payment = PaymentDesk(order, self.saga, self.progress, self.cancels)
        self.ship_at: datetime | None = None
        self.ship_at_once = self._is_hurried = False

    async def _fulfil(self) -> None:
        """The business process, step by step."""
        await self.cancels.checkpoint()
        await self.saga.local_first(Inventory.reserve_inventory, undo=Inventory.release_inventory)
        self.progress.reached(OrderStatus.RESERVED, "stock reserved")

        await self.payment.authorize()  # the customer may have to act: 3-D Secure, another card
        self.progress.reached(OrderStatus.CONFIRMED, "payment authorized")

        await self._wait_until_it_may_ship()
        await self.saga.step(Shipping.ship_order, undo=Shipping.cancel_shipment)
        self.progress.tell("label bought")

        await self._wait_until_it_may_ship()  # a review may have been opened meanwhile
        await self.saga.step(Payments.capture_payment, short=True)
        await self._deliver()

    async def _deliver(self) -> None:
        """The parcel's way. A cancel can still call it back until the carrier has scanned it, and not later."""
        self.progress.reached(OrderStatus.READY_TO_SHIP, "payment captured")
        await self.parcel.left(short=True)
        self.progress.reached(OrderStatus.SHIPPED, "scanned by the carrier")

        if await self.parcel.reached(short=True):
            self.progress.reached(OrderStatus.DELIVERED, "delivered")

    async def _fulfil_or_undo(self) -> OrderStatus:
        """Ends in DELIVERED, CANCELED or REJECTED (SHIPPED when a person has given the parcel up)."""
        try:
            await self._fulfil()
        except CancelGranted as granted:
            await self._undo(OrderStatus.CANCELED, "canceled", granted.request)
        except StepFailed as failed:
            await self._turn_back(failed)
        self.progress.write()
        return self.progress.status

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        """Raises CancelledError when the order was canceled natively: the workflow closes as canceled."""
        if self._lean:
            self._writes = asyncio.create_task(self.progress.write_what_lasts(lambda: self.saga.is_at_it))
        return await to_the_end(self._fulfil_or_undo(), self.cancels, canceled=OrderStatus.CANCELED)

    # the wait before shipping: it ends early when a cancel is asked for

    async def _wait_until_it_may_ship(self) -> None:
        """The grace period, the customer's date, a fraud review; the authorization is renewed meanwhile."""
        self.ship_at = self.ship_at or self.order.ship_at(workflow.now())
        ship_at = self.ship_at
        await self.payment.look()
        await self._hear_hurry()
        while self.payment.on_hold or (ship_at > workflow.now() and not self._ships_at_once):
            waits = self.payment.next_looks(ship_at)
            if ship_at > workflow.now():
                waits = [*waits, (ship_at, f"ship not before {ship_at:%Y-%m-%d %H:%M} UTC")]
            until, why = min(waits)
            await self.cancels.wait(lambda: self.payment.news or self._wakes, until - workflow.now(), why)
            await self.payment.look()
            await self._hear_hurry()

    async def _hear_hurry(self) -> None:
        """Takes a wish to ship at once for what the books say of it: anybody may send a signal."""
        if not self._is_hurried or self.ship_at is None or self.ship_at <= workflow.now():
            return
        self._is_hurried = False
        if workflow.patched("look-who-hurries"):
            self.ship_at_once = await self.saga.insist(Orders.may_ship_now, attended=False, short=True)
        else:
            self.ship_at_once = True

    @property
    def _wakes(self) -> bool:
        """Somebody has said so since the last look, or it was so before; a review sleeps on."""
        return (self._is_hurried or self.ship_at_once) and not self.payment.on_hold

    @property
    def _ships_at_once(self) -> bool:
        """Somebody has said so, and no review says otherwise."""
        return self.ship_at_once and not self.payment.on_hold

    # back

    async def _turn_back(self, failed: StepFailed) -> None:
        """Undoes an order of which a step has failed; while its parcel is on its way, a person decides."""
        if self.progress.status is not OrderStatus.CONFIRMED:
            return await self._undo(OrderStatus.REJECTED, failed.code, CancelRequest(reason=failed.detail, by="saga"))
        for pause in growing_pauses():
            decisions = self.saga.watch.decisions
            if await self.label.call_parcel_back():
                break
            await self._call_after_scan(failed)
            await self._pause_and_refuse(decisions, pause)
            if failed.step in self.saga.watch.settled:  # by an operator: the order goes on
                return await self._deliver()
        await self.saga.watch.dismiss(failed.step)
        request = CancelRequest(reason=f"{failed.code}: {failed.detail}"[:500], by="saga")
        await self._begin_to_cancel(request, "step_failed", failed.code)
        return await self._undo(OrderStatus.CANCELED, failed.code, CancelRequest(reason=failed.detail, by="saga"))

    async def _pause_and_refuse(self, decisions: int, pause: timedelta) -> None:
        """Waits for a person; who asks to cancel meanwhile hears at once that the parcel has left."""
        end, summary, watch = workflow.now() + pause, "before asking the carrier again", self.saga.watch
        if not workflow.patched("refuse-while-a-person-looks"):
            return await watch.pause(decisions, pause, summary)
        has_news = lambda: watch.decisions != decisions or self.cancels.waiting  # noqa: E731
        while watch.decisions == decisions and end > workflow.now():
            try:
                await workflow.wait_condition(has_news, timeout=end - workflow.now(), timeout_summary=summary)
            except TimeoutError:
                return None
            await self.cancels.refuse_all(SCANNED)
        return None

    async def _undo(self, end: OrderStatus, code: str, why: CancelRequest) -> None:
        if code != "out_of_stock" and workflow.patched("undo-a-lost-task"):
            self.saga.undos.run_last(Inventory.release_inventory, Payments.return_payment)
        await super()._undo(end, code, why)

    # what only a running order is told and asked; the rest is in `order/order_workflow.py`

    @workflow.update
    async def pay(self, offer: NewPaymentMethod) -> CheckoutAnswer:
        """Another payment method after a decline; answers as the checkout does."""
        return await self.payment.offered(offer)

    @pay.validator
    def _waits_for_another_card(self, offer: NewPaymentMethod) -> None:
        if not self.payment.waits_for_card:
            raise ApplicationError("the order waits for no payment method", type="no_payment_awaited")

    @workflow.signal
    def ship_now(self) -> None:
        """Somebody wishes that the wait before shipping ends."""
        self._is_hurried = True

    @workflow.signal
    def payment_changed(self) -> None:
        """Stripe says something new about the payment: look at it."""
        self.payment.news = True
