"""A goodwill refund, from the operator's wish to the customer's bank; the order's own workflow has mostly ended."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.types import MethodAsyncSingleParam
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities.refunds.refunds import Refunds
    from domain.refunds import GiveRefund, RefundProgress, RefundState
    from domain.repairs import STEP_REFUSED, Resolution, ResolutionAnswer
    from workflows import policies
    from workflows.saga import slower_and_slower
    from workflows.watch import Watch

Step: TypeAlias = MethodAsyncSingleParam[Any, GiveRefund, RefundProgress]


@workflow.defn
class OrderRefund:
    """One refund. Workflow id `refund-<order id>-<key>`; returns the state in which the refund ended.

    The refund's row decides what is to be done: a workflow that was canceled or terminated is started again.
    """

    @workflow.init
    def __init__(self, refund: GiveRefund) -> None:
        self.refund = refund
        self.state = RefundState.ASKED
        self.watch = Watch(refund.order_id)
        self.name = f"refund {refund.key}"  # of the step, at the repair desk

    @workflow.run
    async def run(self, refund: GiveRefund) -> RefundState:
        self._reached(await self._insist(Refunds.send_refund, "give the money back", attended=True))
        if self.state is RefundState.PENDING:
            self._reached(await self._insist(Refunds.follow_refund, "has the bank got it?", attended=False))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.state

    @workflow.update
    async def outcome(self) -> RefundState:
        """Answers as soon as Stripe has said something, which may be that it is pending."""
        await workflow.wait_condition(lambda: self.state is not RefundState.ASKED)
        return self.state

    @workflow.update
    async def resolve(self, resolution: Resolution) -> ResolutionAnswer:
        """What an operator decides about a ticket of this refund."""
        return await self.watch.resolve(resolution)

    def _reached(self, progress: RefundProgress) -> None:
        self.state = progress.state
        workflow.set_current_details(
            f"**{self.state}** · refund `{self.refund.key}` of order `{self.refund.order_id}`"
        )

    async def _insist(self, step: Step, summary: str, *, attended: bool) -> RefundProgress:
        """Runs the step until it succeeds; a person is called when it refuses to or, `attended`, takes long."""
        for pause in slower_and_slower():
            nudges = self.watch.nudges
            try:
                progress = await self._attempt(step, summary, attended=attended)
            except ActivityError as error:
                said = error.cause
                code = (said.type if isinstance(said, ApplicationError) else None) or "error"
                await self.watch.call_person(self.name, STEP_REFUSED, f"{code}: {said}")
                await self.watch.pause(nudges, pause, f"before trying again: {summary}")
            else:
                await self.watch.dismiss(self.name)
                return progress
        raise AssertionError("unreachable: the pauses never end")

    async def _attempt(self, step: Step, summary: str, *, attended: bool) -> RefundProgress:
        """With the engine's retries; when an operator decided something meanwhile, begun again at once."""
        while True:
            await self.watch.gate()
            handle = workflow.start_activity_method(
                step, self.refund, **(policies.UNTIL_DONE | ActivityConfig(summary=summary))
            )
            try:
                return await (self.watch.over(self.name, handle) if attended else handle)
            except ActivityError as error:
                if not (self.watch.prodded(handle) and is_cancelled_exception(error)):
                    raise
            except asyncio.CancelledError:
                # The attempt ended in the very workflow task that brought the decision: the SDK gives no result then.
                if not self.watch.prodded(handle):
                    raise
