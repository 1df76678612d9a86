"""Starts `OrderRecovery` under the workflow id of the order, so that the engine allows one owner."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from adapters.temporal.client import workflow_id
from domain.recovery import RecoverOrder

WORKFLOW = "OrderRecovery"


async def start_recovery(client: Client, task_queue: str, order: RecoverOrder) -> bool:
    """Starts the recovery; False when a workflow looks after the order already."""
    try:
        await client.start_workflow(
            WORKFLOW,
            order,
            id=workflow_id(order.order_id),
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=f"Recovery of an order of {order.total}",
            static_details=order.why,
        )
    except WorkflowAlreadyStartedError:
        return False
    return True
