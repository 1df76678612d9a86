"""An order from checkout to delivery, or fully undone: the business process, readable in `_fulfil`.

Reserve the stock, authorize the payment (now the customer has the answer), buy the label, capture the payment, and
follow the parcel. Whatever goes wrong on the way is undone, newest first. The tricky parts live next door: undo and
retries in `saga.py`, cancels in `cancel_desk.py`, time limits in `policies.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, CancelledError

with workflow.unsafe.imports_passed_through():
    from activities.inventory.inventory import Inventory
    from activities.orders.orders import Orders
    from activities.payments.payments import Payments
    from activities.shipping.parcels import Parcels
    from activities.shipping.shipping import Shipping
    from domain.commands import (
        CancelAnswer,
        CancelRequest,
        CheckoutAnswer,
        CloseOrder,
        FulfillOrder,
        NewPaymentMethod,
        OrderRef,
        ParcelStatus,
        RecordCancel,
    )
    from domain.order_states import ANSWERED, OrderStatus
    from domain.repairs import REFUSED_AFTER_SCAN, Resolution, ResolutionAnswer
    from workflows import policies
    from workflows.cancel_desk import CancelDesk, OrderCanceled
    from workflows.parcel_tickets import ParcelTickets, ParcelWrittenOff
    from workflows.payment_desk import PaymentDesk
    from workflows.progress import Progress
    from workflows.saga import Saga, StepFailed, slower_and_slower
    from workflows.summaries import summaries_of
    from workflows.uninterrupted import to_the_end


@workflow.defn
class OrderFulfillment:
    """One order. Workflow id `order-<order id>`; returns the status in which the order ended."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        self.order = order
        self.progress = Progress(order)
        self.cancels = CancelDesk(order.order_id, lambda: self.progress.status, self.progress.reached)
        self.saga = Saga(OrderRef(order_id=order.order_id), self.cancels.checkpoint, summaries_of(order))
        self.cancels.saga = self.saga
        self.payment = PaymentDesk(order, self.saga, self.progress, self._wait)
        self.parcel = ParcelStatus.UNKNOWN
        self.ship_at: datetime | None = None
        self.ship_at_once = False
        self.code = ""

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
        await self.saga.step(Payments.capture_payment)
        await self._deliver()

    async def _deliver(self) -> None:
        self.progress.reached(OrderStatus.READY_TO_SHIP, "payment captured")
        await self._follow_parcel(lambda: self.parcel.scanned)
        await self.saga.insist(Parcels.record_shipped)
        self.progress.reached(OrderStatus.SHIPPED, "scanned by the carrier")
        try:
            await self._follow_parcel(lambda: self.parcel is ParcelStatus.DELIVERED)
        except ParcelWrittenOff:
            return self.progress.tell("parcel written off")
        await self.saga.insist(Parcels.record_delivered)
        return self.progress.reached(OrderStatus.DELIVERED, "delivered")

    async def _fulfil_or_undo(self) -> OrderStatus:
        """Ends in DELIVERED, CANCELED or REJECTED (SHIPPED when the parcel is given up), and answers all cancels."""
        try:
            await self._fulfil()
        except OrderCanceled as canceled:
            asked = canceled.request
            await self._undo(OrderStatus.CANCELED, "canceled", asked.reason, asked.by, asked.text_id)
        except StepFailed as failed:
            await self._turn_back(failed)
        while self.cancels.waiting or not workflow.all_handlers_finished():
            await workflow.wait_condition(lambda: self.cancels.waiting or workflow.all_handlers_finished())
            await self.cancels.checkpoint()
        return self.progress.status

    async def _turn_back(self, failed: StepFailed) -> None:
        if self.progress.status is not OrderStatus.CONFIRMED:
            return await self._undo(OrderStatus.REJECTED, failed.code, failed.detail, "saga")
        for pause in slower_and_slower():
            nudges = self.saga.watch.nudges
            if await self.cancels.call_parcel_back():
                break
            why = f"{failed.detail}; the parcel is on its way, so nothing was undone"
            await self.saga.watch.call_person(failed.step, REFUSED_AFTER_SCAN, why)
            await self.cancels.refuse_all()
            await self._pause_and_refuse(nudges, pause)
            if failed.step in self.saga.watch.decided:  # by an operator: the order goes on
                return await self._deliver()
        await self.saga.watch.dismiss(failed.step)
        request = CancelRequest(reason=f"{failed.code}: {failed.detail}"[:500], by="saga")
        record = RecordCancel(order_id=self.order.order_id, number=0, request=request, code="step_failed")
        await self.saga.insist(Orders.record_cancel_request, record)
        self.progress.reached(OrderStatus.CANCELING, failed.code)
        await self.cancels.checkpoint()  # who asked meanwhile joins
        return await self._undo(OrderStatus.CANCELED, failed.code, failed.detail, "saga")

    async def _pause_and_refuse(self, nudges: int, pause: timedelta) -> None:
        """Waits for a person; who asks to cancel meanwhile hears at once that the parcel has left."""
        end, summary = workflow.now() + pause, "before asking the carrier again"
        if not workflow.patched("refuse-while-a-person-looks"):
            return await self.saga.watch.pause(nudges, pause, summary)
        news = lambda: self.saga.watch.nudges != nudges or self.cancels.waiting  # noqa: E731
        while self.saga.watch.nudges == nudges and end > workflow.now():
            try:
                await workflow.wait_condition(news, timeout=end - workflow.now(), timeout_summary=summary)
            except TimeoutError:
                return None
            await self.cancels.refuse_all()
        return None

    async def _undo(self, end: OrderStatus, code: str, detail: str, by: str, text_id: str | None = None) -> None:
        self.code = code
        if code != "out_of_stock" and workflow.patched("undo-a-lost-task"):
            self.saga.undo_also(Inventory.release_inventory, Payments.return_payment)
        await self.saga.undo_all()
        order_id = self.order.order_id
        close = CloseOrder(order_id=order_id, status=end, code=code, detail=detail, by=by, text_id=text_id)
        closed = await self.saga.insist(Orders.close_order, close)
        self.progress.reached(closed.status, code)

    # the long waits: each ends early when a cancel is asked for

    async def _wait_until_it_may_ship(self) -> None:
        """The grace period, the customer's date, a fraud review; the authorization is renewed meanwhile."""
        self.ship_at = self.ship_at or self.order.ship_at(workflow.now())
        ship_at = self.ship_at
        await self.payment.look()
        while self.payment.on_hold or (ship_at > workflow.now() and not self._ships_at_once):
            waits = self.payment.next_looks(ship_at)
            if ship_at > workflow.now():
                waits = [*waits, (ship_at, f"ship not before {ship_at:%Y-%m-%d %H:%M} UTC")]
            until, why = min(waits)
            await self._wait(lambda: self.payment.news or self._ships_at_once, until - workflow.now(), why)
            await self.payment.look()

    @property
    def _ships_at_once(self) -> bool:
        """Somebody has said so, and no review says otherwise."""
        return self.ship_at_once and not self.payment.on_hold

    async def _follow_parcel(self, arrived: Callable[[], bool]) -> None:
        tickets = ParcelTickets(self.saga.watch)
        while not arrived():
            news = lambda: arrived() or tickets.has_news(self.parcel)  # noqa: E731
            told = await self._wait(news, policies.TRACKING_POLL, "ask the carrier where the parcel is")
            if not told or tickets.asked_again:
                seen = await self.saga.insist(Parcels.check_shipment)
                self.parcel = self.parcel.then(seen.status)
            self.parcel = self.parcel.then(await tickets.look(self.parcel, arrived=arrived()))
        await tickets.arrived()

    async def _wait(self, ready: Callable[[], bool], time: timedelta, summary: str) -> bool:
        """Waits until `ready`, a cancel or the end of `time`; True when ready."""
        try:
            await workflow.wait_condition(
                lambda: ready() or self.cancels.waiting, timeout=time, timeout_summary=summary
            )
        except TimeoutError:
            return False
        await self.cancels.checkpoint()
        return ready()

    # the platform side: native cancellation arrives here, and only here

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        end = await to_the_end(self._fulfil_or_undo(), self.cancels.ask_natively)
        if end is OrderStatus.CANCELED and workflow.cancellation_reason() is not None:
            raise CancelledError("canceled on request; everything is undone")
        return end

    @workflow.update
    async def checkout(self) -> CheckoutAnswer:
        """Answers as soon as the order is confirmed or refused, or its customer has to act."""
        await workflow.wait_condition(lambda: self.progress.status in ANSWERED)
        return CheckoutAnswer(status=self.progress.status, code=self.code)

    @workflow.update
    async def pay(self, offer: NewPaymentMethod) -> CheckoutAnswer:
        """Another payment method after a decline; answers as the checkout does."""
        return await self.payment.offered(offer)

    @pay.validator
    def _waits_for_another_card(self, offer: NewPaymentMethod) -> None:
        if not self.payment.waits_for_card:
            raise ApplicationError("the order waits for no payment method", type="no_payment_awaited")

    @workflow.update
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Answers with the decision, not with the end of the undo."""
        asked = self.cancels.ask(request)
        await workflow.wait_condition(lambda: asked.answer is not None)
        assert asked.answer is not None
        return asked.answer

    @workflow.update
    async def resolve(self, resolution: Resolution) -> ResolutionAnswer:
        """What an operator decides about one of the order's tickets."""
        return await self.saga.watch.resolve(resolution)

    @workflow.signal
    def cancel_order(self, given: Any = None) -> None:
        """From operations: input absent, a reason, or {"reason": ..., "by": ...}."""
        self.cancels.ask(CancelRequest.from_input(given))

    @workflow.signal
    def ship_now(self) -> None:
        """Ends the wait before shipping."""
        self.ship_at_once = True

    @workflow.signal
    def payment_changed(self) -> None:
        """Stripe says something new about the payment: look at it."""
        self.payment.news = True

    @workflow.signal
    def parcel_changed(self, status: ParcelStatus) -> None:
        """The carrier says where the parcel is."""
        self.parcel = self.parcel.then(status)
        self.cancels.pending_void.news = True
