"""Decides on cancels, one after the other, by the table in `domain/cancellation.py`.

A request is only noted when it arrives; it is decided at the saga's next checkpoint, where nothing has been undone
yet, so that a refused cancel (the parcel was scanned) lets the order go on as if nobody had asked.
"""

from __future__ import annotations

from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.orders.orders import Orders
    from activities.shipping.shipping import Shipping
    from domain import cancellation
    from domain.cancellation import Decision, Rule
    from domain.commands import CancelAnswer, CancelRequest, RecordCancel, VoidOutcome
    from domain.order_states import OrderStatus
    from workflows.free_texts import without_words
    from workflows.pending_void import PendingVoid
    from workflows.saga import Activity, Saga


class OrderCanceled(Exception):
    """A cancel was granted: the saga turns back."""

    def __init__(self, request: CancelRequest) -> None:
        super().__init__(f"cancel granted, asked for by {request.by}")
        self.request = request


class _Open:
    """A wish that waits for its answer, or has it."""

    def __init__(self, number: int, request: CancelRequest) -> None:
        self.number, self.request = number, request
        self.answer: CancelAnswer | None = None


class CancelDesk:
    """One order's wishes to cancel. `reached` is called with CANCELING when one is granted.

    `asked_before` are those of a workflow that had the order before: numbers go on behind theirs.
    """

    def __init__(
        self,
        order_id: str,
        status: Callable[[], OrderStatus],
        reached: Callable[[OrderStatus], None],
        asked_before: int = 0,
    ) -> None:
        self._order_id = order_id
        self._status = status
        self._reached = reached
        self._open: list[_Open] = []
        self._by_id: dict[str, _Open] = {}
        self._count = asked_before
        self.pending_void = PendingVoid(order_id)
        self.saga: Saga

    def ask(self, request: CancelRequest) -> _Open:
        """Notes a wish; its answer is set when it is decided. What comes again joins what came first.

        The API gives up on an update that nobody takes on and leaves a signal; the update may arrive all the same.
        """
        known = self._by_id.get(request.wish_id) if request.wish_id else None
        if known is not None and workflow.patched("decide-a-wish-once"):
            return known
        self._count += 1
        asked = _Open(self._count, request)
        self._by_id[request.wish_id] = asked
        rule = cancellation.decide(self._status())
        if rule.decision is Decision.JOINED:
            asked.answer = CancelAnswer(accepted=True, code=rule.code, status=self._status())
        else:
            self._open.append(asked)
            self.saga.interrupt()
        return asked

    def ask_natively(self, reason: str) -> None:
        """Notes Temporal's own cancellation: one wish, also where a reset of the workflow brings it again."""
        wish_id = f"native-{workflow.info().first_execution_run_id}"
        self.ask(CancelRequest.from_input({"reason": reason, "wish_id": wish_id}, by="temporal"))

    @property
    def waiting(self) -> bool:
        return bool(self._open)

    async def checkpoint(self) -> None:
        """Decides what was asked since the last checkpoint. Raises OrderCanceled when a cancel is granted."""
        while self._open:
            asked = self._open[0]
            rule = cancellation.decide(self._status(), label_may_exist=self._label_may_exist())
            if rule.decision is Decision.CARRIER_DECIDES:
                rule = await self._ask_carrier(asked, rule)
                if self._refuses_several(rule):
                    await self.refuse_all()
                    continue
            if rule.decision is Decision.JOINED:
                self._answer(asked, rule, accepted=True)
            elif rule.decision is Decision.REFUSED:
                await self._refuse(asked, rule)
            else:
                await self._grant(asked, rule)

    def _label_may_exist(self) -> bool:
        return self.saga.may_have_run(Shipping.cancel_shipment)

    async def _ask_carrier(self, asked: _Open, rule: Rule) -> Rule:
        """A parcel that was scanned cannot be called back."""
        await self._record(Orders.record_cancel_request, asked, rule.code)
        called_back = await self.call_parcel_back()
        return cancellation.LABEL_VOIDED if called_back else cancellation.TABLE[OrderStatus.SHIPPED]

    def _refuses_several(self, rule: Rule) -> bool:
        """The carrier's refusal is the answer to all who wait: it does not have to say the same to each."""
        several = rule.decision is Decision.REFUSED and len(self._open) > 1
        return several and workflow.patched("ask-the-carrier-once-for-all")

    async def call_parcel_back(self) -> bool:
        """Voids the label, if there may be one; False when the parcel is on its way already."""
        if not self._label_may_exist():
            return True
        void = await self.saga.insist(Shipping.cancel_shipment)
        if void.outcome is VoidOutcome.SCANNED:
            return False
        self.saga.forget(Shipping.cancel_shipment)
        if void.outcome is VoidOutcome.REQUESTED:
            if workflow.patched("wait-for-voids"):
                put = self.saga.undo_last if void.money_first else self.saga.undo_first
                put(self.pending_void)
            else:
                self.saga.undo_first(Shipping.confirm_void)
        return True

    async def _grant(self, asked: _Open, rule: Rule) -> None:
        granted = list(self._open)
        for one in granted:
            await self._record(Orders.record_cancel_request, one, rule.code)
            late = [other for other in self._open if other not in granted]  # asked while this was written down
            if late and workflow.patched("record-late-cancels"):
                granted += late
        self._reached(OrderStatus.CANCELING)
        for one in list(self._open):
            self._answer(one, rule, accepted=True)
        raise OrderCanceled(asked.request)

    async def refuse_all(self) -> None:
        """For an order that is to be undone but cannot be: its parcel is on its way."""
        for asked in list(self._open):
            await self._refuse(asked, cancellation.TABLE[OrderStatus.SHIPPED])

    async def _refuse(self, asked: _Open, rule: Rule) -> None:
        await self._record(Orders.record_cancel_refusal, asked, rule.code)
        self._answer(asked, rule, accepted=False)

    def _answer(self, asked: _Open, rule: Rule, *, accepted: bool) -> None:
        asked.answer = CancelAnswer(accepted=accepted, code=rule.code, status=self._status())
        self._open.remove(asked)

    async def _record(self, activity: Activity[None], asked: _Open, code: str) -> None:
        asked.request = await without_words(self._order_id, asked.request)
        command = RecordCancel(order_id=self._order_id, number=asked.number, request=asked.request, code=code)
        await self.saga.insist(activity, command)
