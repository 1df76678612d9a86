"""The scheduled jobs that look for what nobody looks after: orders, money, stock, and events that never came.

Both only look and tell: what they find is carried out by `OrderRecovery`, by the API's inbox, or by a person. A run
that dies leaves nothing half done; the next period begins anew.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.types import MethodAsyncSingleParam
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities.recovery.book_comparison import BookComparison
    from activities.recovery.missed_events import MissedEvents
    from activities.recovery.reconciliation import Reconciliations
    from domain.recovery import CatchUpEvents, DriftFound, Reconciled, ReconcileOrders
    from workflows.saga import policies


# A far end that is away for longer fails the run, and is asked again by the next one: what comes first in a run
# (orders that nobody looks after) must not wait for a far end that only what comes last needs.
LOOK = ActivityConfig(
    start_to_close_timeout=timedelta(minutes=5),
    schedule_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
)


def _look(summary: str) -> ActivityConfig:
    return LOOK | ActivityConfig(summary=summary)


@workflow.defn
class Reconciliation:
    """Compares three books: workflows, PaymentIntents, and our rows of stock, payments and labels."""

    @workflow.run
    async def run(self, asked: ReconcileOrders) -> Reconciled:
        """Looks at all orders in batches, then compares the books; goes on as a new run when its history is long."""
        found, batch = asked.so_far, asked
        while True:
            seen = await workflow.execute_activity_method(
                Reconciliations.look_at_orders, batch, **_look("has every order a workflow?")
            )
            found = found.model_copy(
                update={
                    "looked_at": found.looked_at + seen.looked_at,
                    "recovered": found.recovered + seen.recovered,
                    "stuck": found.stuck + seen.stuck,
                    "lost": found.lost + seen.lost,
                    "stopped": seen.stopped,
                }
            )
            if seen.stopped:
                return found  # it may be the wrong cluster or an old database: nothing that it finds means anything
            if seen.next is None:
                break
            batch = asked.model_copy(update={"after": seen.next, "so_far": found})
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(batch)
        for look, summary in (
            (BookComparison.look_at_ended_orders, "does an ended order hold anything?"),
            (BookComparison.compare_stock, "do the orders hold what is reserved?"),
            (BookComparison.compare_payments, "does Stripe have what our books say?"),
        ):
            found = await self._compare(look, asked, found, summary)
        return found

    async def _compare(
        self,
        look: MethodAsyncSingleParam[BookComparison, ReconcileOrders, DriftFound],
        asked: ReconcileOrders,
        found: Reconciled,
        summary: str,
    ) -> Reconciled:
        more = True
        while more:
            seen = await workflow.execute_activity_method(look, asked, **_look(summary))
            more = seen.more
            found = found.model_copy(
                update={"recovered": found.recovered + seen.recovered, "drifts": found.drifts + seen.drifts}
            )
        return found


@workflow.defn
class StripeEvents:
    """Lists Stripe's events since the last time; returns how many of them were never delivered."""

    @workflow.run
    async def run(self, asked: CatchUpEvents) -> int:
        """Lists page after page until there is no event left that is old enough."""
        missed, more = 0, True
        while more:
            seen = await workflow.execute_activity_method(
                MissedEvents.list_missed_events, asked, **_look("which events were never delivered?")
            )
            missed, more = missed + seen.missed, seen.more
        return missed
