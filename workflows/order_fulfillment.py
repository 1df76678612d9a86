"""An order from checkout to delivery, or fully undone: the business process, readable in `_fulfil`.

Reserve the stock, authorize the payment (now the customer has the answer), buy the label, capture the payment, and
follow the parcel. Whatever goes wrong on the way is undone, newest first. The tricky parts live next door: undo and
retries in `saga.py`, cancels in `cancel_desk.py`, time limits in `policies.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import CancelledError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.inventory import Inventory
    from activities.orders import Orders
    from activities.payments import Payments
    from activities.shipping import Shipping
    from domain.commands import (
        AuthorizationState,
        CancelAnswer,
        CancelRequest,
        CheckoutAnswer,
        CloseOrder,
        FulfillOrder,
        OrderRef,
        ParcelStatus,
        RecordCancel,
    )
    from domain.order_states import ANSWERED, OrderStatus
    from workflows import policies
    from workflows.cancel_desk import CancelDesk, OrderCanceled
    from workflows.progress import Progress
    from workflows.saga import Saga, StepFailed, slower_and_slower
    from workflows.summaries import summaries_of


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
        self.parcel = ParcelStatus.UNKNOWN
        self.payment_news = self.ship_at_once = False
        self.code = ""

    async def _fulfil(self) -> None:
        """The business process, step by step."""
        await self.cancels.checkpoint()
        await self.saga.local_first(Inventory.reserve_inventory, undo=Inventory.release_inventory)
        self.progress.reached(OrderStatus.RESERVED, "stock reserved")

        authorization = await self.saga.local_first(Payments.authorize_payment, undo=Payments.return_payment)
        if authorization.state is AuthorizationState.REQUIRES_ACTION:
            await self._wait_for_customer()
        self.progress.reached(OrderStatus.CONFIRMED, "payment authorized")

        await self._wait_until_it_may_ship()

        await self.saga.step(Shipping.ship_order, undo=Shipping.cancel_shipment)
        self.progress.tell("label bought")
        await self.saga.step(Payments.capture_payment)
        self.progress.reached(OrderStatus.READY_TO_SHIP, "payment captured")

        await self._follow_parcel(lambda: self.parcel.scanned)
        await self.saga.insist(Shipping.record_shipped)
        self.progress.reached(OrderStatus.SHIPPED, "scanned by the carrier")
        await self._follow_parcel(lambda: self.parcel is ParcelStatus.DELIVERED)
        await self.saga.insist(Shipping.record_delivered)
        self.progress.reached(OrderStatus.DELIVERED, "delivered")

    async def _fulfil_or_undo(self) -> OrderStatus:
        """Ends in DELIVERED, CANCELED or REJECTED, and answers everyone who asked to cancel."""
        try:
            await self._fulfil()
        except OrderCanceled as canceled:
            await self._undo(OrderStatus.CANCELED, "canceled", canceled.request.reason, canceled.request.by)
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
            if await self.cancels.call_parcel_back():
                break
            why = f"{failed.detail}; the parcel is on its way, so nothing was undone"
            await self.saga.watch.call_person(failed.step, f"{failed.code}_after_scan", why)
            await self.cancels.refuse_all()
            await workflow.sleep(pause, summary="before asking the carrier again")
        await self.saga.watch.dismiss(failed.step)
        request = CancelRequest(reason=f"{failed.code}: {failed.detail}"[:500], by="saga")
        record = RecordCancel(order_id=self.order.order_id, number=0, request=request, code="step_failed")
        await self.saga.insist(Orders.record_cancel_request, record)
        self.progress.reached(OrderStatus.CANCELING, failed.code)
        await self.cancels.checkpoint()  # who asked meanwhile joins
        return await self._undo(OrderStatus.CANCELED, failed.code, failed.detail, "saga")

    async def _undo(self, end: OrderStatus, code: str, detail: str, by: str) -> None:
        self.code = code
        await self.saga.undo_all()
        close = CloseOrder(order_id=self.order.order_id, status=end, code=code, detail=detail, by=by)
        closed = await self.saga.insist(Orders.close_order, close)
        self.progress.reached(closed.status, code)

    # the long waits: each ends early when a cancel is asked for

    async def _wait_for_customer(self) -> None:
        self.progress.reached(OrderStatus.AWAITING_CUSTOMER, "3-D Secure")
        deadline = workflow.now() + policies.CUSTOMER_PATIENCE
        while True:
            await self._wait(lambda: self.payment_news, policies.PAYMENT_POLL, "look at the payment")
            self.payment_news = False
            authorization = await self.saga.step(Payments.check_payment)
            if authorization.state is AuthorizationState.AUTHORIZED:
                return
            if workflow.now() >= deadline:
                raise StepFailed(
                    "authorize_payment", "abandoned", "the customer did not complete the payment in time"
                )

    async def _wait_until_it_may_ship(self) -> None:
        ship_at = self.order.ship_at(workflow.now())
        while (left := ship_at - workflow.now()) > timedelta(0) and not self.ship_at_once:
            await self._wait(lambda: self.ship_at_once, left, f"ship not before {ship_at:%Y-%m-%d %H:%M} UTC")

    async def _follow_parcel(self, arrived: Callable[[], bool]) -> None:
        told = False
        while not arrived():
            news = lambda: arrived() or (self.parcel.lost and not told)  # noqa: E731, B023
            if not await self._wait(news, policies.TRACKING_POLL, "ask the carrier where the parcel is"):
                seen = await self.saga.insist(Shipping.check_shipment)
                self.parcel = self.parcel.then(seen.status)
            if self.parcel.lost and not told:
                told = True
                await self.saga.watch.call_person(
                    "follow_parcel", f"parcel_{self.parcel}", "it will not arrive by itself"
                )
        await self.saga.watch.dismiss("follow_parcel")

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
        process = asyncio.create_task(self._fulfil_or_undo())
        while not process.done():
            try:
                await asyncio.shield(process)
            except asyncio.CancelledError:
                reason = workflow.cancellation_reason()
                if reason is None:
                    raise  # not a request: the worker is putting this workflow out of its memory
                self.cancels.ask(CancelRequest.from_input(reason, by="temporal"))
            except Exception:
                break
        try:
            end = process.result()
        except (FailureError, asyncio.CancelledError) as error:
            raise RuntimeError("no step expects this: the task waits for a fix, the order stays open") from error
        if end is OrderStatus.CANCELED and workflow.cancellation_reason() is not None:
            raise CancelledError("canceled on request; everything is undone")
        return end

    @workflow.update
    async def checkout(self) -> CheckoutAnswer:
        """Answers as soon as the order is confirmed or refused, or its customer has to act."""
        await workflow.wait_condition(lambda: self.progress.status in ANSWERED)
        return CheckoutAnswer(status=self.progress.status, code=self.code)

    @workflow.update
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Answers with the decision, not with the end of the undo."""
        asked = self.cancels.ask(request)
        await workflow.wait_condition(lambda: asked.answer is not None)
        assert asked.answer is not None
        return asked.answer

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
        self.payment_news = True

    @workflow.signal
    def parcel_changed(self, status: ParcelStatus) -> None:
        """The carrier says where the parcel is."""
        self.parcel = self.parcel.then(status)
