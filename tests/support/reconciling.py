"""Reconciliations that a test starts itself, limited to its own orders: others share the database."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlmodel import col, select
from temporalio.client import WorkflowExecutionDescription

from adapters.temporal.client import workflow_id
from adapters.temporal.recoveries import start_recovery
from domain.order_states import OrderStatus
from domain.recovery import Reconciled, ReconcileOrders
from services.recovery.starts import recovery_input
from services.tickets.tables import Ticket
from tests.support.orders import Handle, Shop
from workflows.reconciliation import Reconciliation


async def reconcile(shop: Shop, *order_ids: str, unchanged_for: timedelta = timedelta(0), **more: int) -> Reconciled:
    return await shop.client.execute_workflow(
        Reconciliation.run,
        ReconcileOrders(unchanged_for=unchanged_for, order_ids=list(order_ids), **more),
        id=f"reconciliation-{secrets.token_hex(4)}",
        task_queue=shop.settings.task_queue,
    )


async def recover(shop: Shop, order_id: str, why: str = "for the test") -> bool:
    """Starts a recovery; False when a workflow looks after the order already."""
    found = await recovery_input(shop.sessions, order_id, why)
    assert found is not None
    return await start_recovery(shop.client, shop.settings.task_queue, found)


def recovery_of(shop: Shop, order_id: str) -> Handle:
    """Spoken to as everybody speaks to an order, who cannot know which workflow has it."""
    return shop.client.get_workflow_handle(workflow_id(order_id), result_type=OrderStatus)


async def owner(shop: Shop, order_id: str) -> WorkflowExecutionDescription:
    """The latest workflow of an order."""
    return await shop.client.get_workflow_handle(workflow_id(order_id)).describe()


async def open_tickets(shop: Shop, order_id: str | None) -> list[str]:
    """The kinds of an order's open tickets, or of those that are about no one order."""
    same = Ticket.order_id == order_id if order_id else col(Ticket.order_id).is_(None)
    async with shop.sessions() as session:
        query = select(Ticket.kind).where(same, col(Ticket.resolved_at).is_(None)).order_by(Ticket.kind)
        return list(await session.exec(query))
