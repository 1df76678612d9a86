"""How a refund's workflow starts."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from adapters.settings import Settings
from adapters.temporal.client import refund_workflow_id
from domain.money import Money
from domain.refunds import GiveRefund
from workflows.order import search_attributes
from workflows.order_refund import OrderRefund


async def start_refund(
    temporal: Client, settings: Settings, refund: GiveRefund, amount: Money, customer_id: str
) -> None:
    """Starts the refund's workflow, unless it runs or has ended; one that was terminated or canceled starts again."""
    address = f"{settings.public_url.rstrip('/')}/api/orders/{refund.order_id}"
    with suppress(WorkflowAlreadyStartedError):
        await temporal.start_workflow(
            OrderRefund.run,
            refund,
            id=refund_workflow_id(refund.order_id, refund.key),
            task_queue=settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(search_attributes.CUSTOMER_ID, customer_id)]
            ),
            static_summary=f"Refund of {amount}",
            static_details=f"[Refund]({address}/refunds/{refund.key}) of {amount} to [the order]({address})",
            rpc_timeout=timedelta(seconds=settings.checkout_budget),
        )
