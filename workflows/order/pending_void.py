"""Waits until the carrier confirms a void, which may take weeks: by looks at growing intervals, and by its webhooks.

The workflow waits, not the engine's retries: so a void that is merely pending counts as no failure and calls nobody,
and a signal ends the pause. A look that keeps failing calls a person as any step does.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.shipping.labels import Shipping
    from domain.steps import CANCEL_SHIPMENT
    from domain.void_commands import ConfirmVoid, VoidOutcome
    from workflows.saga.saga import Saga
    from workflows.saga.undos import LongUndo


class PendingVoid(LongUndo):
    """The void of one order's label. `news`: the carrier has said something since the last look."""

    def __init__(self, order_id: str, saga: Saga) -> None:
        self._look = ConfirmVoid(order_id=order_id, answers=True)
        self._saga = saga
        self.news = False

    async def run(self) -> None:
        """Returns when the carrier has taken the label back, or a person has settled it."""
        watch = self._saga.watch
        while True:
            decisions, self.news = watch.decisions, False
            void = await self._saga.insist(Shipping.confirm_void, self._look)
            if void.outcome is not VoidOutcome.REQUESTED:
                return await watch.dismiss(CANCEL_SHIPMENT)
            if void.ticket:
                await watch.call_person(CANCEL_SHIPMENT, void.ticket, void.detail)
            await self._pause(decisions, void.look_again_in)

    async def _pause(self, decisions: int, time: timedelta) -> None:
        """Pauses until the carrier has news, an operator has decided something, or `time` has passed."""
        summary = "before asking again whether the label is void"
        try:
            await workflow.wait_condition(
                lambda: self.news or self._saga.watch.decisions != decisions, timeout=time, timeout_summary=summary
            )
        except TimeoutError:
            return
