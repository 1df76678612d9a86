"""The code changes while orders run: workers of two versions, and the commands that docs/deployment.md gives.

An order moves on to the current version along the path that it has taken; a pinned job ends where it began.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select
from temporalio.api.enums.v1 import RoutingConfigUpdateState, VersioningBehavior
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
from temporalio.client import Client, WorkflowHandle

from adapters.settings import Settings
from adapters.temporal.schedules import ensure_schedules, schedule_id
from domain.commands import ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from domain.recovery import ReconcileOrders
from ops.temporal.worker_health import asks_for_orders
from services.orders.tables import Order
from tests.support.changed_workflows import WithALookAtTheParcel
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop, steps_run
from tests.support.waiting import until
from worker import VERSIONED, build_activities, build_worker
from workflows.order_fulfillment import OrderFulfillment
from workflows.reconciliation import Reconciliation

pytestmark = pytest.mark.slow

COMPLETED = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_COMPLETED
OLD_WAY = ["ship_order"]  # all else is done inside the worker
NEW_WAY = ["ship_order", "check_shipment"]
RETRIED = ["ship_order", "capture_payment", "check_shipment"]

Start = Callable[..., AbstractAsyncContextManager[StepFaults]]


CHANGED = [WithALookAtTheParcel, *(one for one in VERSIONED if one is not OrderFulfillment)]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A deployment of the test's own."""
    return settings.model_copy(update={"deployment_name": f"ordersaga-{secrets.token_hex(4)}"})


@pytest.fixture
def version(temporal_client: Client, settings: Settings) -> Start:
    @asynccontextmanager
    async def start(build_id: str, workflows: Sequence[type] = ()) -> AsyncIterator[StepFaults]:
        own, faults = settings.model_copy(update={"build_id": build_id}), StepFaults()
        async with (
            build_activities(own) as activities,
            build_worker(temporal_client, own, activities, interceptors=[faults], workflows=workflows),
        ):
            yield faults

    return start


async def cli(settings: Settings, command: str, *words: str) -> tuple[int, str]:
    """The documented program; its exit code and what it prints."""
    program = str(Path(sys.executable).with_name("temporal"))
    place = ["--address", settings.temporal_address, "--namespace", settings.temporal_namespace]
    which = ["--deployment-name", settings.deployment_name]
    process = await asyncio.create_subprocess_exec(
        program,
        *("worker", "deployment", command, *which, *words, *place),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def make_current(client: Client, settings: Settings, build_id: str) -> None:
    """Until every task queue knows it."""

    async def done() -> int:
        return (await cli(settings, "set-current-version", "--build-id", build_id, "--yes"))[0]

    async def told() -> bool:
        request = DescribeWorkerDeploymentRequest(
            namespace=client.namespace, deployment_name=settings.deployment_name
        )
        deployment = (await client.workflow_service.describe_worker_deployment(request)).worker_deployment_info
        return (
            deployment.routing_config.current_deployment_version.build_id == build_id
            and deployment.routing_config_update_state == COMPLETED
        )

    await until(done, 0)
    await until(told, True, 150)  # by a workflow of the server's own, which tries again ever more slowly


async def runs_on(handle: WorkflowHandle[Any, Any]) -> tuple[str, str]:
    """Behavior and version."""
    described = (await handle.describe()).raw_description
    info = described.workflow_execution_info.versioning_info
    behavior = VersioningBehavior.Name(info.behavior).removeprefix("VERSIONING_BEHAVIOR_")
    return behavior, info.deployment_version.build_id


async def at(shop: Shop, status: OrderStatus, *, ship_in: timedelta | None = None) -> Handle:
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=ship_in)
    await until(lambda: shop.status(order.order_id), status)
    return handle


async def deliver(handle: Handle) -> None:
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED


async def test_the_workflow_changes_under_running_orders(shop: Shop, settings: Settings, version: Start) -> None:
    """Behind the changed place: the old path, on the new version. Before it, and new: the new path."""
    async with AsyncExitStack() as old, version("b", CHANGED) as second:
        first = await old.enter_async_context(version("a"))
        await make_current(shop.client, settings, "a")
        followed = await at(shop, OrderStatus.READY_TO_SHIP)
        waiting = await at(shop, OrderStatus.CONFIRMED, ship_in=timedelta(days=1))
        first.fail("capture_payment", TryAgain("away"), times=1000)
        retried = await shop.start(await shop.put(await shop.product()))
        await until(lambda: _tried(first, "capture_payment", 2), True)
        assert second.calls == []
        await make_current(shop.client, settings, "b")
        new = await at(shop, OrderStatus.READY_TO_SHIP)
        await old.aclose()
        await waiting.signal(OrderFulfillment.ship_now)
        for handle in (followed, retried, waiting, new):
            await until(lambda handle=handle: _ready(shop, handle), True)  # type: ignore[misc]
            await deliver(handle)
        assert second.finished.count("capture_payment") == 3
    assert await steps_run(followed) == OLD_WAY
    assert await steps_run(retried) == RETRIED
    for handle in (waiting, new):
        assert await steps_run(handle) == NEW_WAY
    for handle in (followed, retried, waiting, new):
        assert await runs_on(handle) == ("AUTO_UPGRADE", "b")


async def _tried(faults: StepFaults, step: str, times: int) -> bool:
    return faults.ended.count(step) >= times


async def _ready(shop: Shop, handle: Handle) -> bool:
    return await shop.status(handle.id.removeprefix("order-")) is OrderStatus.READY_TO_SHIP


async def test_a_pinned_job_ends_on_the_version_that_it_began_on(
    shop: Shop, settings: Settings, version: Start
) -> None:
    """Version b is current, and runs what begins from then on; a goes on with its own until it is done."""
    async with version("a") as first:
        await make_current(shop.client, settings, "a")
        first.hold("look_at_ended_orders")
        before = await reconciliation(shop)
        await first.arrived("look_at_ended_orders")
        async with version("b", CHANGED) as second:
            await make_current(shop.client, settings, "b")
            after = await reconciliation(shop)
            await after.result()
            await until(lambda: _left_on(shop, settings, "a"), 1)
            first.release("look_at_ended_orders")
            await before.result()
            assert await runs_on(before) == ("PINNED", "a")
            assert await runs_on(after) == ("PINNED", "b")
            assert first.finished[-1] == second.finished[-1] == "compare_payments"


@pytest.mark.long
async def test_an_older_version_leaves_alone_what_it_does_not_know(
    shop: Shop, settings: Settings, version: Start
) -> None:
    """Back to version a under an order that has passed the changed place: it waits, unharmed, for b."""
    async with version("a"), version("b", CHANGED) as second:
        await make_current(shop.client, settings, "b")
        order = await at(shop, OrderStatus.READY_TO_SHIP)
        await make_current(shop.client, settings, "a")
        await order.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
        await until(lambda: _stands_still(order), True)
        assert await _ready(shop, order)
        await make_current(shop.client, settings, "b")
        assert await order.result() is OrderStatus.DELIVERED
        assert second.finished[-1] == "record_delivered"


async def _stands_still(handle: Handle) -> bool:
    """Whether its workflow task fails again and again."""
    return (await handle.describe()).raw_description.pending_workflow_task.attempt > 1


async def test_the_health_check_knows_a_worker_with_a_version(settings: Settings, version: Start) -> None:
    """Also before its version is current."""
    assert not await asks_for_orders(settings, socket.gethostname())
    async with version("a"):
        await until(lambda: asks_for_orders(settings, socket.gethostname()), True, seconds=10)


async def _left_on(shop: Shop, settings: Settings, build_id: str) -> int:
    """As an operator counts what keeps an old version from being stopped."""
    query = (
        f"TemporalWorkerDeploymentVersion = '{settings.deployment_name}:{build_id}' "
        "AND TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'"
    )
    return (await shop.client.count_workflows(query)).count


async def reconciliation(shop: Shop) -> WorkflowHandle[Any, Any]:
    return await shop.client.start_workflow(
        Reconciliation.run,
        ReconcileOrders(order_ids=["0" * 32]),
        id=f"reconciliation-{secrets.token_hex(4)}",
        task_queue=shop.settings.task_queue,
    )


async def test_an_order_waits_for_the_first_current_version(
    shop: Shop, settings: Settings, version: Start, api: httpx.AsyncClient
) -> None:
    """Only versioned workers, none of them current: the API keeps the order, and it goes on once one is."""
    product, customer = await shop.product(), await shop.customer()
    body = {"customerId": customer, "items": [{"productId": product, "quantity": 2}], "paymentMethod": "pm_card_visa"}
    async with version("a"):
        checkout = asyncio.create_task(api.post("/api/orders", json=body))
        order_id = await until_placed(shop, customer)
        assert not checkout.done()
        await make_current(shop.client, settings, "a")
        assert (await checkout).status_code in (201, 202)
        await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
        assert await runs_on(shop.client.get_workflow_handle(f"order-{order_id}")) == ("AUTO_UPGRADE", "a")


async def until_placed(shop: Shop, customer: str) -> str:
    async def placed() -> list[str]:
        async with shop.sessions() as session:
            return list(await session.exec(select(Order.order_id).where(Order.customer_id == customer)))

    async def started() -> bool:
        orders = await placed()
        return bool(orders) and (await shop.client.count_workflows(f"WorkflowId = 'order-{orders[0]}'")).count > 0

    await until(started, True)
    return (await placed())[0]


async def test_orders_of_workers_without_a_version_move_on_to_the_first_one(
    shop: Shop, settings: Settings, version: Start
) -> None:
    """Versioning is turned on under running orders."""
    async with AsyncExitStack() as old, version("a"):
        await old.enter_async_context(version(""))
        handle = await at(shop, OrderStatus.READY_TO_SHIP)
        await make_current(shop.client, settings, "a")
        await old.aclose()
        await deliver(handle)
        assert await runs_on(handle) == ("AUTO_UPGRADE", "a")


async def test_a_scheduled_job_begins_on_the_current_version(
    shop: Shop, temporal_client: Client, settings: Settings, version: Start
) -> None:
    """A schedule names no version."""
    async with version("a") as first, version("b") as second:
        await make_current(shop.client, settings, "a")
        await make_current(shop.client, settings, "b")
        await ensure_schedules(temporal_client, settings)
        schedule = temporal_client.get_schedule_handle(schedule_id("StripeEvents", settings.task_queue))
        await schedule.trigger()
        await until(lambda: _tried(second, "list_missed_events", 1), True)
        assert first.calls == []
    for job in ("Reconciliation", "StripeEvents"):
        await temporal_client.get_schedule_handle(schedule_id(job, settings.task_queue)).delete()
