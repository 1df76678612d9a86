"""Starts `OrderRecovery` under the workflow id of the order, so that the engine allows one owner."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from adapters.postgres.database import Sessions
from adapters.temporal.client import workflow_id
from domain.money import Money
from domain.order_states import OrderStatus
from domain.recovery import RECOVERED, RecoverOrder
from services.orders.tables import Order

WORKFLOW = "OrderRecovery"

# A wish without an id gets a number that no former one has; before wishes had ids, the fences had the numbers.
_CANCELS = text("""
    SELECT (SELECT count(*) FROM cancel_wishes WHERE order_id = :order_id)
         + (SELECT count(*) FROM order_steps
             WHERE order_id = :order_id AND (step LIKE 'cancel\\_request\\_%' OR step LIKE 'cancel\\_refusal\\_%'))
""")


async def start_recovery(
    client: Client,
    sessions: Sessions,
    task_queue: str,
    order_id: str,
    why: str,
    *,
    code: str = RECOVERED,
    unchanged_since: datetime | None = None,
) -> bool:
    """False when somebody looks after the order already, or it was changed since `unchanged_since`.

    Raises LookupError for an order that does not exist.
    """
    async with sessions() as session:
        row = await session.get(Order, order_id)
        if row is None:
            raise LookupError(f"no order {order_id}")
        if unchanged_since is not None and row.updated_at != unchanged_since:
            return False
        cancels = (await (await session.connection()).execute(_CANCELS, {"order_id": order_id})).scalar_one()
    return await _start(client, task_queue, _message(row, why, code, cancels))


def _message(row: Order, why: str, code: str, cancels: int) -> RecoverOrder:
    return RecoverOrder(
        order_id=row.order_id,
        customer_id=row.customer_id,
        total=Money(minor=row.total_minor, currency=row.currency),
        why=why,
        code=code,
        status=OrderStatus(row.status),
        cancels=cancels,
        needs_attention=row.needs_attention,
    )


async def _start(client: Client, task_queue: str, order: RecoverOrder) -> bool:
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
