"""`python worker.py` as production runs it: it drains on SIGTERM, and says by its exit code what was wrong."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from devstack.stack.ports import LOOPBACK, free_port
from domain.order_states import OrderStatus
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
from tests.support.worker_process import Start
from worker import build_activities, build_worker
from workflows.order import search_attributes

SLOW = 1.5  # seconds that the carrier takes for a purchase


async def test_sigterm_lets_a_running_step_finish(shop: Shop, start: Start) -> None:
    """The label that is being bought is in the books before the worker leaves with 0; another one goes on."""
    await shop.fault("carrier", "shipments.buy", "slow", delay_seconds=SLOW)
    worker = await start(ORDERSAGA_TASK_QUEUE=shop.settings.task_queue)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: _running(handle, "ship_order"), True)
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    assert [line["event"] for line in worker.lines if line["logger"] == "worker"] == [
        "worker started",
        "worker drains",
        "worker stopped",
    ]
    assert "label bought" in [row.what.partition(":")[0] for row in await shop.timeline(order.order_id)]
    async with _another_worker(shop):
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert await _attempts(handle, "ship_order") == [1]


async def _running(handle: Handle, step: str) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(activity.activity_type.name == step and activity.state == 2 for activity in pending)  # STARTED


async def _attempts(handle: Handle, step: str) -> list[int]:
    """The attempt that ended each of the step's activities."""
    events = (await handle.fetch_history()).events
    scheduled = {
        event.event_id
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_type.name == step
    }
    started = [event.activity_task_started_event_attributes for event in events]
    return [one.attempt for one in started if one.scheduled_event_id in scheduled]


@asynccontextmanager
async def _another_worker(shop: Shop) -> AsyncIterator[None]:
    async with build_activities(shop.settings) as activities, build_worker(shop.client, shop.settings, activities):
        yield


async def test_an_idle_worker_leaves_at_once_on_ctrl_c(start: Start) -> None:
    """SIGINT is as good as SIGTERM; there is nothing to wait for."""
    worker = await start(ORDERSAGA_TASK_QUEUE=f"idle-{secrets.token_hex(4)}")
    await worker.says("worker started")
    worker.send(signal.SIGINT)
    assert await worker.ended() == 0


BAD = [
    ({"ORDERSAGA_TASK_QUEUE": "", "ORDERSAGA_WORKER_MAX_CONCURRENT_ACTIVITIES": "hush"},
     ["task_queue", "worker_max_concurrent_activities"]),
    ({"DATABASE_URL": "mysql://o:hush@localhost/o"}, ["ORDERSAGA_DATABASE_URL"]),
    ({"ORDERSAGA_PUBLIC_URL": "https://shop.test", "STRIPE_WEBHOOK_SECRET": "whsec_ordersaga_hush"}, [""]),
]  # fmt: skip


async def test_settings_that_make_no_sense_end_it_with_2(start: Start) -> None:
    """The log names each bad setting, and nothing that was in it."""
    workers = [await start(**environment) for environment, _ in BAD]
    for worker, (_, settings) in zip(workers, BAD, strict=True):
        assert await worker.ended() == 2
        problems = [line for line in worker.lines if line["event"] == "bad setting"]
        assert sorted(line["setting"] for line in problems) == sorted(settings)
        assert "hush" not in json.dumps(worker.lines)
    assert "stripe_webhook_secret is a placeholder" in workers[-1].lines[-1]["problem"]


async def test_an_engine_that_is_away_ends_it_with_1(start: Start) -> None:
    """Whoever started it starts it again: it does not wait for ever."""
    worker = await start(TEMPORAL_ADDRESS=f"{LOOPBACK}:{free_port()}")
    assert await worker.ended() == 1
    assert ["connect" in line["error"] for line in worker.lines if line["event"] == "worker broke"] == [True]


async def test_a_namespace_without_the_search_attributes_ends_it_with_1(
    temporal_client: Client, start: Start
) -> None:
    """It names each that is missing: the worker itself never changes a cluster."""
    namespace = f"bare-{secrets.token_hex(4)}"
    retention = Duration(seconds=86_400)
    await temporal_client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=retention)
    )
    await until(lambda: _is_known(temporal_client, namespace), True)
    worker = await start(TEMPORAL_NAMESPACE=namespace)
    assert await worker.ended() == 1
    broken = [line["error"] for line in worker.lines if line["event"] == "worker broke"]
    assert len(broken) == 1
    assert not [key.name for key in search_attributes.ALL if key.name not in broken[0]]


async def _is_known(client: Client, namespace: str) -> bool:
    """A new namespace takes a moment to reach every part of the server."""
    try:
        return await Client.connect(client.service_client.config.target_host, namespace=namespace) is not None
    except (RPCError, RuntimeError):
        return False
