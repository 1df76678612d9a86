"""A goodwill refund, from the operator's wish to the customer's bank; the order's own workflow has mostly ended."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.refunds.refunds import Refunds
    from domain.refunds import GiveRefund, RefundProgress, RefundState, step_of
    from workflows.order.order_tickets import OrderTickets
    from workflows.saga.saga import Saga
    from workflows.saga.saga_workflow import SagaWorkflow
    from workflows.saga.steps import was_interrupted

SUMMARIES = {"send_refund": "give the money back", "follow_refund": "has the bank got it?"}


@workflow.defn
class OrderRefund(SagaWorkflow):
    """One refund. Workflow id `refund-<order id>-<key>`; returns the state in which the refund ended.

    The refund's row decides what is to be done: a workflow that was canceled or terminated is started again.
    """

    @workflow.init
    def __init__(self, refund: GiveRefund) -> None:
        tickets, step = OrderTickets(refund.order_id), step_of(refund.key)
        self.saga = Saga(refund, tickets, SUMMARIES, desk_name=step, retried=_is_retried)
        self.refund = refund
        self.state = RefundState.ASKED

    @workflow.run
    async def run(self, refund: GiveRefund) -> RefundState:
        """Sends the refund, and follows one that is on its way; neither may fail."""
        self._reached(await self.saga.insist(Refunds.send_refund))
        if self.state is RefundState.PENDING:  # banks take days: nobody is called because it takes long
            self._reached(await self.saga.insist(Refunds.follow_refund, attended=False))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.state

    @workflow.update
    async def outcome(self) -> RefundState:
        """Answers as soon as Stripe has said something, which may be that it is pending."""
        await workflow.wait_condition(lambda: self.state is not RefundState.ASKED)
        return self.state

    def _reached(self, progress: RefundProgress) -> None:
        self.state = progress.state
        workflow.set_current_details(
            f"**{self.state}** · refund `{self.refund.key}` of order `{self.refund.order_id}`"
        )


def _is_retried(error: ActivityError) -> bool:
    """Refunds once called a person about an attempt that failed while an operator decided."""
    return is_cancelled_exception(error) or (was_interrupted(error) and workflow.patched("retry-at-a-decision"))
