"""Decides on the cancels of an order, by the table in `domain/cancellation.py`."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.orders.orders import Orders
    from domain import cancellation
    from domain.cancellation import Decision
    from domain.commands import CancelAnswer, RecordCancel
    from domain.order_states import OrderStatus
    from workflows.order.free_texts import without_words
    from workflows.order.label_desk import LabelDesk
    from workflows.order.progress import Progress
    from workflows.saga.cancel_desk import CancelRules, Outcome, Ruling, Wish
    from workflows.saga.saga import Saga
    from workflows.saga.steps import Activity

SCANNED = Ruling(Outcome.REFUSED, cancellation.TABLE[OrderStatus.SHIPPED].code, by_far_end=True)
"""The carrier has the parcel: nothing can be undone."""


class OrderCancelRules(CancelRules[CancelAnswer]):
    """The rules for one order. From the label on, the carrier decides."""

    def __init__(self, order_id: str, saga: Saga, progress: Progress, label: LabelDesk) -> None:
        self._order_id, self._saga, self._progress, self._label = order_id, saga, progress, label

    def join(self) -> Ruling | None:
        """Joins who asks while the order is being undone or is canceled already."""
        rule = cancellation.decide(self._progress.status)
        return Ruling(Outcome.JOINED, rule.code) if rule.decision is Decision.JOINED else None

    async def rule(self, wish: Wish[CancelAnswer]) -> Ruling:
        """The table's rule; where the carrier decides, by trying to void the label."""
        rule = cancellation.decide(self._progress.status, label_may_exist=self._label.may_exist)
        if rule.decision is Decision.CARRIER_DECIDES:
            await self._record(Orders.record_cancel_request, wish, rule.code)
            if await self._label.call_parcel_back():
                return Ruling(Outcome.GRANTED, cancellation.LABEL_VOIDED.code, by_far_end=True)
            return SCANNED
        outcomes = {Decision.ACCEPTED: Outcome.GRANTED, Decision.JOINED: Outcome.JOINED}
        return Ruling(outcomes.get(rule.decision, Outcome.REFUSED), rule.code)

    async def record(self, wish: Wish[CancelAnswer], ruling: Ruling) -> None:
        """Writes the decision into the order's timeline; equal refusals become one row with a count."""
        refused = ruling.outcome is Outcome.REFUSED
        activity = Orders.record_cancel_refusal if refused else Orders.record_cancel_request
        await self._record(activity, wish, ruling.code)

    def turn_back(self) -> None:
        """The order is CANCELING."""
        self._progress.reached(OrderStatus.CANCELING)

    def answer(self, ruling: Ruling) -> CancelAnswer:
        """The decision, and the order's status as it is when it is decided."""
        accepted = ruling.outcome is not Outcome.REFUSED
        return CancelAnswer(accepted=accepted, code=ruling.code, status=self._progress.status)

    def refuses_all_at_once(self) -> bool:
        """By its patch: orders from before it asked the carrier for each."""
        return workflow.patched("ask-the-carrier-once-for-all")

    async def _record(self, activity: Activity[None], wish: Wish[CancelAnswer], code: str) -> None:
        wish.request = await without_words(self._order_id, wish.request)
        command = RecordCancel(order_id=self._order_id, number=wish.number, request=wish.request, code=code)
        await self._saga.insist(activity, command)
