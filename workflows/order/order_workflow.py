"""What both workflows of an order have: `OrderFulfillment` and, where that is gone, `OrderRecovery`."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.orders.orders import Orders
    from domain.commands import (
        CancelAnswer,
        CancelRequest,
        CheckoutAnswer,
        CloseOrder,
        OrderRef,
        ParcelStatus,
        RecordCancel,
    )
    from domain.order_states import ANSWERED, OrderStatus
    from domain.repairs import REFUSED_AFTER_SCAN
    from workflows.order.cancel_rules import SCANNED, OrderCancelRules
    from workflows.order.label_desk import LabelDesk
    from workflows.order.order_brake import OrderBrake
    from workflows.order.order_tickets import OrderTickets
    from workflows.order.parcel_desk import ParcelDesk
    from workflows.order.progress import Progress
    from workflows.order.summaries import summaries_of
    from workflows.saga.cancel_desk import CancelDesk
    from workflows.saga.saga import Saga
    from workflows.saga.saga_workflow import SagaWorkflow
    from workflows.saga.steps import StepFailed


class OrderWorkflow(SagaWorkflow):
    """Base of the workflows of an order: its saga and desks, how it is undone, and what others say and ask.

    `cancels_before` counts the wishes to cancel that a former workflow of the order has recorded. `lean` is for
    the saga.
    """

    def __init__(self, progress: Progress, ref: OrderRef, cancels_before: int = 0, *, lean: bool = False) -> None:
        id_ = ref.order_id
        self.progress = progress
        self.saga = Saga(ref, OrderTickets(id_), summaries_of(progress.order), brake=OrderBrake(id_), lean=lean)
        self.label = LabelDesk(id_, self.saga)
        rules = OrderCancelRules(id_, self.saga, progress, self.label)
        self.cancels: CancelDesk[CancelAnswer] = CancelDesk(self.saga, rules, cancels_before)
        self.parcel = ParcelDesk(self.saga, progress, self.cancels)
        self.code = ""

    # undoing it

    async def _begin_to_cancel(self, request: CancelRequest, code: str, why: str) -> None:
        """Makes the order CANCELING although nobody has asked for it; who asks from now on joins."""
        record = RecordCancel(order_id=self.progress.order.order_id, number=0, request=request, code=code)
        await self.saga.insist(Orders.record_cancel_request, record)
        self.progress.reached(OrderStatus.CANCELING, why)
        await self.cancels.checkpoint()

    async def _undo(self, end: OrderStatus, code: str, why: CancelRequest) -> None:
        """Undoes everything, newest first, and closes the order: at `end`, or where its row says otherwise."""
        self.code = code
        await self.saga.undo_all()
        order_id = self.progress.order.order_id
        closed = await self.saga.insist(
            Orders.close_order,
            CloseOrder(order_id=order_id, status=end, code=code, detail=why.reason, **why.who),
        )
        self.progress.reached(closed.status, code)

    async def _call_after_scan(self, failed: StepFailed) -> None:
        """Calls a person about a step that failed although the parcel has left; who wants to cancel is refused."""
        why = f"{failed.detail}; the parcel is on its way, so nothing was undone"
        await self.saga.watch.call_person(failed.step, REFUSED_AFTER_SCAN, why)
        await self.cancels.refuse_all(SCANNED)

    # what others say and ask

    @workflow.update
    async def checkout(self) -> CheckoutAnswer:
        """Answers as soon as the order is confirmed or refused, or its customer has to act."""
        await workflow.wait_condition(lambda: self.progress.status in ANSWERED)
        return CheckoutAnswer(status=self.progress.status, code=self.code)

    @workflow.update
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Answers with the decision, not with the end of the undo."""
        return await self.cancels.decision_on(request.from_outside())

    @workflow.signal
    def cancel_order(self, given: Any = None) -> None:
        """From operations: input absent, a reason, or {"reason": ..., "by": ...}."""
        self.cancels.ask(CancelRequest.from_input(given).from_outside())

    @workflow.signal
    def parcel_changed(self, status: ParcelStatus) -> None:
        """The carrier says where the parcel is."""
        self.parcel.told(status)
        self.label.pending_void.news = True
