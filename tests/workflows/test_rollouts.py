"""Workers and what starts orders are not updated at the same moment: what an order meets, in either order."""

from __future__ import annotations

import secrets

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client

from adapters.settings import Settings
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from domain.processes import Process
from tests.support.older_workflows import FromBeforeTheField
from tests.support.orders import Books, Handle, Shop
from tests.support.waiting import until
from worker import Activities, build_worker
from workflows.order_fulfillment import OrderFulfillment

pytestmark = pytest.mark.slow

FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


async def events(handle: Handle) -> list[int]:
    return [event.event_type for event in (await handle.fetch_history()).events]


async def is_stuck(handle: Handle) -> bool:
    return FAILED in await events(handle)


async def reset(client: Client, handle: Handle) -> None:
    """As `temporal workflow reset --type FirstWorkflowTask` does."""
    first = (await events(handle)).index(COMPLETED) + 1
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            workflow_task_finish_event_id=first,
            request_id=secrets.token_hex(8),
            reason="begun by an old worker",
        )
    )


async def test_an_order_that_an_old_worker_began_is_mended_by_a_reset(
    shop: Shop, temporal_client: Client, settings: Settings, activities: Activities
) -> None:
    """The wrong order of a rollout: a newer worker cannot follow and does nothing, and begins anew when told to."""
    order = await shop.put(await shop.product())
    async with build_worker(temporal_client, settings, activities, workflows=[FromBeforeTheField]):
        handle = await shop.start(order)
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    async with build_worker(temporal_client, settings, activities):
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
        await until(lambda: is_stuck(handle), True)
        assert await shop.status(order.order_id) is OrderStatus.READY_TO_SHIP
        await reset(temporal_client, handle)
        again: Handle = temporal_client.get_workflow_handle_for(OrderFulfillment.run, handle.id)
        assert await again.result() is OrderStatus.DELIVERED
    assert await shop.authorizations(order.order_id) == 1
    assert await shop.books(order.order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )


async def test_a_new_worker_carries_on_what_an_old_one_began_for_an_old_api(
    shop: Shop, temporal_client: Client, settings: Settings, activities: Activities
) -> None:
    """The right order of a rollout: such an order ends in the form in which it began."""
    order = (await shop.put(await shop.product())).model_copy(update={"process": Process.FIRST})
    async with build_worker(temporal_client, settings, activities, workflows=[FromBeforeTheField]):
        handle = await shop.start(order)
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    async with build_worker(temporal_client, settings, activities):
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
        assert await handle.result() is OrderStatus.DELIVERED
    assert not await is_stuck(handle)
