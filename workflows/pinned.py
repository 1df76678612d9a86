"""The scheduled jobs as workers that have versions run them: each ends on the version of the code that it began on.

Every other workflow moves on to a newer version (docs/decisions/0011-worker-versions.md). The engine takes the word
"pinned" from workers with a version only, hence classes of their own; what they do is what their bases do.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from domain.recovery import CatchUpEvents, Reconciled, ReconcileOrders
    from workflows.reconciliation import Reconciliation, StripeEvents


@workflow.defn(name="Reconciliation", versioning_behavior=VersioningBehavior.PINNED)
class PinnedReconciliation(Reconciliation):
    """`Reconciliation`, for workers that have a version."""

    @workflow.run
    async def run(self, asked: ReconcileOrders) -> Reconciled:
        """Runs as its base does: the SDK wants the method on the decorated class itself."""
        return await super().run(asked)


@workflow.defn(name="StripeEvents", versioning_behavior=VersioningBehavior.PINNED)
class PinnedStripeEvents(StripeEvents):
    """`StripeEvents`, for workers that have a version."""

    @workflow.run
    async def run(self, asked: CatchUpEvents) -> int:
        """Runs as its base does, see above."""
        return await super().run(asked)
