"""A checkout that no worker answers, or whose workflow task keeps failing: pending, not an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from temporalio import workflow
from temporalio.client import Client

from adapters.postgres.notifications import Listener
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from api.app import create_app
from services.outbox.waiting import CHANNEL
from tests.support.identities import Anybody
from tests.support.waiting import until
from worker import build_activities, build_worker

pytestmark = pytest.mark.slow

NOWHERE = "127.0.0.1:1"


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class Broken:
    @workflow.run
    async def run(self, order: Any) -> str:
        raise RuntimeError("a bug")

    @workflow.update
    async def checkout(self) -> Any: ...


@pytest.fixture
def body_of(
    new_product: Callable[..., Awaitable[str]], new_customer: Callable[[], Awaitable[str]]
) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def body() -> dict[str, Any]:
        items = [{"productId": await new_product(), "quantity": 1}]
        return {"customerId": await new_customer(), "items": items, "paymentMethod": "pm_card_visa"}

    return body


async def test_a_checkout_whose_task_keeps_failing_is_pending(
    settings: Settings, temporal_client: Client, body_of: Callable[[], Awaitable[dict[str, Any]]]
) -> None:
    """Temporal refuses its update from the third failure on: the order goes on when the bug is mended."""
    body, headers = await body_of(), {"Idempotency-Key": "again"}
    app = create_app(settings.model_copy(update={"checkout_budget": 0.3}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://api.test",
            timeout=30,
            auth=Anybody(subject=body["customerId"]),
        ) as api,
        build_activities(settings) as activities,
    ):

        async def attempts() -> int:
            answer = await api.post("/api/orders", json=body, headers=headers)
            assert answer.status_code == 202, answer.text
            handle = temporal_client.get_workflow_handle(workflow_id(answer.json()["orderId"]))
            return min(3, (await handle.describe()).raw_description.pending_workflow_task.attempt)

        async with build_worker(temporal_client, settings, activities, workflows=[Broken]):
            await until(attempts, 3)
            answer = await api.post("/api/orders", json=body, headers=headers)
            assert (answer.status_code, answer.json()["status"]) == (202, "PLACED"), answer.text
            await temporal_client.get_workflow_handle(workflow_id(answer.json()["orderId"])).terminate()


async def test_a_placed_order_wakes_the_relay(
    settings: Settings, body_of: Callable[[], Awaitable[dict[str, Any]]]
) -> None:
    """Its first event is published before any worker has seen the order: the engine is away here."""
    body, hinted = await body_of(), asyncio.Event()
    listener = Listener(settings, CHANNEL, hinted.set)
    listening = asyncio.create_task(listener.listen_forever())
    await asyncio.wait_for(listener.listening.wait(), 60)
    hinted.clear()
    app = create_app(settings.model_copy(update={"temporal_address": NOWHERE, "checkout_budget": 0.3}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://api.test", timeout=30, auth=Anybody()
        ) as api,
    ):
        assert (await api.post("/api/orders", json=body)).status_code == 503
        await asyncio.wait_for(hinted.wait(), 60)
    listening.cancel()
