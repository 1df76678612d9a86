"""What every workflow that runs a saga is asked from outside."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from domain.repairs import Resolution, ResolutionAnswer
    from workflows.saga.saga import Saga


class SagaWorkflow:
    """Base of workflows that run a saga: a subclass is decorated with `@workflow.defn` and sets `saga`."""

    saga: Saga

    @workflow.update
    async def resolve(self, resolution: Resolution) -> ResolutionAnswer:
        """Carries out what an operator has decided about a ticket of the saga, and answers with what it means."""
        return await self.saga.watch.resolve(resolution)

    @workflow.signal
    async def resolve_later(self, resolution: Resolution) -> None:
        """The same for a workflow that takes no further update: nobody waits for the answer, the ticket tells it."""
        try:
            await self.saga.watch.resolve(resolution)
        except ActivityError:  # would end the workflow, while the person can decide again
            workflow.logger.warning("a decision by signal was not written down")
