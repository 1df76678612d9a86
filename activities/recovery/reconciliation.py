"""Finds orders that nobody looks after, and orders whose workflow is stuck.

Temporal is asked order by order (`describe`): its list of workflows lags behind, and an order that only seems to have
no workflow must not be undone. Nothing here undoes anything: that is `OrderRecovery`, and it cannot start while the
order has a running workflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.interceptors import metrics
from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.temporal.client import workflow_id
from adapters.temporal.recoveries import WORKFLOW, start_recovery
from domain.commands import Attention
from domain.errors import OurMistake
from domain.order_states import OrderStatus
from domain.recovery import NEVER_STARTED, RECOVERED, OrderCursor, OrdersLookedAt, ReconcileOrders, stops
from domain.repairs import RECONCILIATION_STOPPED, STUCK_WORKFLOW_TASK
from services.orders.book import OrderBook
from services.recovery import unchanged_orders
from services.recovery.cursors import engine_of_orders
from services.recovery.starts import recovery_input
from services.recovery.unchanged_orders import UnchangedOrder
from services.tickets.book import close_ticket_about, close_tickets, open_ticket, open_ticket_about, wants_retry

AT_ONCE = 8  # questions to Temporal
STUCK_AFTER = 3  # attempts of a workflow task that has waited for as long as an order has to stay unchanged
WORKFLOW_TASK = "workflow_task"
"""The step under which the repair desk knows the tickets of stuck workflow tasks."""
WORKFLOWS = "look_at_orders"
"""The step under which it knows the ticket of a reconciliation that stopped itself."""
NAMED = 5  # orders that this ticket names

ENDED = {
    WorkflowExecutionStatus.COMPLETED: "completed",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.CANCELED: "was canceled",
    WorkflowExecutionStatus.TERMINATED: "was terminated",
    WorkflowExecutionStatus.TIMED_OUT: "timed out",
}
"""In any other state, whatever a later server calls it, the order has an owner."""

_BEGINNING = OrderCursor(updated_at=datetime(1970, 1, 1, tzinfo=UTC), order_id="")

ENGINE_PATIENCE = timedelta(seconds=10)  # for one call

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LatestWorkflow:
    """Who looks after an order: its latest workflow, if it ever had one that the engine still knows."""

    closed: str | None = None  # how it ended; None while it runs
    kind: str = ""
    closed_at: datetime | None = None
    attempts: int = 0  # of the pending workflow task, which waits since `task_since`
    task_since: datetime | None = None

    def is_stuck(self, before: datetime) -> bool:
        """Whether its workflow task has failed several times, and has waited since before that time."""
        waits = self.task_since is not None and self.task_since <= before
        return self.closed is None and waits and self.attempts >= STUCK_AFTER


class Reconciliations:
    """Looks after orders that have no running workflow, or one whose workflow task is stuck."""

    def __init__(self, sessions: Sessions, book: OrderBook) -> None:
        self._sessions, self._book = sessions, book

    @activity.defn
    async def look_at_orders(self, asked: ReconcileOrders) -> OrdersLookedAt:
        """Looks at one batch of orders that have not ended and stayed unchanged.

        Each has a running workflow, or is recovered.
        """
        await self._require_their_engine()
        before = now() - asked.unchanged_for
        async with self._sessions() as session:
            connection = await session.connection()
            unchanged = await unchanged_orders.unchanged(
                connection, before, asked.after or _BEGINNING, asked.order_ids, asked.batch
            )
        owners = await owners_of([order.order_id for order in unchanged])
        lost = [order for order in unchanged if _is_lost(order, owners[order.order_id])]
        looked_at = OrdersLookedAt(looked_at=len(unchanged), lost=len(lost))
        if stops(asked, looked_at) and not await self._is_released():
            await self._stop(asked, looked_at, lost)
            return looked_at.model_copy(update={"stopped": True})
        outcomes = [await self._settle(order, owners[order.order_id], before) for order in unchanged]
        if asked.after is None:
            await self._close_tickets_of_unstuck_tasks(asked, before)
        last = unchanged[-1] if len(unchanged) == asked.batch else None
        if last is None:
            await self._close_ticket_of_the_stop(asked)
        return looked_at.model_copy(
            update={
                "recovered": outcomes.count(RECOVERED),
                "stuck": outcomes.count(STUCK_WORKFLOW_TASK),
                "next": OrderCursor(updated_at=last.updated_at, order_id=last.order_id) if last else None,
            }
        )

    async def _close_tickets_of_unstuck_tasks(self, asked: ReconcileOrders, before: datetime) -> None:
        """Closes the tickets of orders whose workflow task is not stuck any more."""
        after = ""
        while True:
            async with self._sessions() as session:
                connection = await session.connection()
                called = await unchanged_orders.called_stuck(connection, after, asked.order_ids, asked.batch)
            owners = await owners_of([order.order_id for order in called])
            for order in called:
                if not owners[order.order_id].is_stuck(before):
                    await self._close_ticket(order)
            if len(called) < asked.batch:
                return
            after = called[-1].order_id

    async def _is_released(self) -> bool:
        """Whether a person let the run that was stopped go on."""
        async with self._sessions() as session:
            return await wants_retry(session, RECONCILIATION_STOPPED, WORKFLOWS)

    async def _stop(self, asked: ReconcileOrders, found: OrdersLookedAt, lost: list[UnchangedOrder]) -> None:
        looked_at, number = asked.so_far.looked_at + found.looked_at, asked.so_far.lost + found.lost
        some = ", ".join(order.order_id for order in lost[:NAMED])
        detail = f"{number} of {looked_at} orders have no running workflow, e.g. {some}: none is undone any more"
        log.error("reconciliation_stopped", lost=number, looked_at=looked_at, namespace=activity.client().namespace)
        metrics.reconciliation_stopped()
        async with self._sessions() as session, session.begin():
            await open_ticket_about(session, RECONCILIATION_STOPPED, WORKFLOWS, detail)

    async def _close_ticket_of_the_stop(self, asked: ReconcileOrders) -> None:
        """All orders were looked at: there are not too many any more, or a person's release is used up."""
        async with self._sessions() as session, session.begin():
            if not asked.order_ids or await wants_retry(session, RECONCILIATION_STOPPED, WORKFLOWS):
                await close_ticket_about(session, RECONCILIATION_STOPPED, WORKFLOWS)

    async def _require_their_engine(self) -> None:
        """Raises OurMistake in another namespace: it knows none of the orders' workflows, and would undo them all."""
        client = activity.client()
        asked = DescribeNamespaceRequest(namespace=client.namespace)
        engine = (await client.workflow_service.describe_namespace(asked, timeout=ENGINE_PATIENCE)).namespace_info.id
        async with self._sessions() as session, session.begin():
            theirs = await engine_of_orders(session, engine)
        if engine != theirs:
            raise OurMistake(f"these orders belong to the Temporal namespace {theirs}, this worker to {engine}")

    async def _settle(self, order: UnchangedOrder, owner: LatestWorkflow, before: datetime) -> str:
        if owner.closed is None:
            if owner.is_stuck(before):
                await self._call_person(order, owner)
                return STUCK_WORKFLOW_TASK
            return ""
        never = owner.closed == NEVER_STARTED and order.status is OrderStatus.PLACED
        why = "its workflow was never started" if owner.closed == NEVER_STARTED else f"its workflow {owner.closed}"
        return RECOVERED if await self.recover(order, why, NEVER_STARTED if never else RECOVERED) else ""

    async def recover(self, order: UnchangedOrder, why: str, code: str = RECOVERED) -> bool:
        """Starts the order's recovery; False when a workflow runs already, or the order has changed."""
        since = order.updated_at
        found = await recovery_input(self._sessions, order.order_id, why, code=code, unchanged_since=since)
        started = found is not None and await start_recovery(activity.client(), activity.info().task_queue, found)
        if started:
            log.warning("order_recovered", order_id=order.order_id, status=order.status.value, why=why)
            metrics.recovered(code)
        return started

    async def _call_person(self, order: UnchangedOrder, owner: LatestWorkflow) -> None:
        detail = f"its workflow task has failed {owner.attempts - 1} times: the worker's log has the reason"
        about = Attention(order_id=order.order_id, step=WORKFLOW_TASK, kind=STUCK_WORKFLOW_TASK, detail=detail)
        async with self._book.locked(order.order_id) as locked:
            await open_ticket(locked, about)

    async def _close_ticket(self, order: UnchangedOrder) -> None:
        async with self._book.locked(order.order_id) as locked:
            await close_tickets(locked, WORKFLOW_TASK)


def _is_lost(order: UnchangedOrder, owner: LatestWorkflow) -> bool:
    """Whether its recovery would undo something: a checkout that never got as far as Temporal holds nothing."""
    return owner.closed is not None and not (owner.closed == NEVER_STARTED and order.status is OrderStatus.PLACED)


async def owners_of(order_ids: Iterable[str]) -> dict[str, LatestWorkflow]:
    """Asks Temporal for each order's workflow."""
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(order_id: str) -> tuple[str, LatestWorkflow]:
        async with room:
            return order_id, await _owner_of(order_id)

    return dict(await asyncio.gather(*(ask(order_id) for order_id in dict.fromkeys(order_ids))))


async def _owner_of(order_id: str) -> LatestWorkflow:
    handle = activity.client().get_workflow_handle(workflow_id(order_id))
    try:
        found = await handle.describe(rpc_timeout=ENGINE_PATIENCE)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return LatestWorkflow(closed=NEVER_STARTED)
    if found.status not in ENDED:
        return _running(found)
    return LatestWorkflow(closed=ENDED[found.status], kind=found.workflow_type, closed_at=found.close_time)


def _running(found: WorkflowExecutionDescription) -> LatestWorkflow:
    if not found.raw_description.HasField("pending_workflow_task"):
        return LatestWorkflow()
    pending = found.raw_description.pending_workflow_task
    return LatestWorkflow(attempts=pending.attempt, task_since=pending.original_scheduled_time.ToDatetime(UTC))


def was_recovered(order: UnchangedOrder, owner: LatestWorkflow) -> bool:
    """Whether a recovery has come to its end since the order last changed: another one would find the same."""
    if owner.kind != WORKFLOW or owner.closed != ENDED[WorkflowExecutionStatus.COMPLETED]:
        return False
    return owner.closed_at is not None and owner.closed_at >= order.updated_at
