"""All packets between a service and PostgreSQL vanish for longer than any of its deadlines, then the network is back.

Every order gets on, no slot and no connection is lost, nothing has to be started again, and the health pages tell the
truth meanwhile. Real servers and real processes, with deadlines of a second.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from adapters.settings import Settings
from api.app import create_app
from chaos.proxy import Proxy
from devstack.stack.ports import LOOPBACK, free_port
from domain.order_states import OrderStatus
from tests.support.identities import Anybody
from tests.support.links import SHORT, database_link
from tests.support.orders import Shop
from tests.support.waiting import until
from tests.support.worker_process import Start

pytestmark = pytest.mark.slow

OUTAGE = 6.0  # seconds: more than connect, pool, statement, close and a local attempt (4 s) may take
POOL = 4
ANSWERED = 10.0  # seconds within which a health page has to answer on a busy machine; it takes 2 at most


def environment(settings: Settings, health: int, **more: str) -> dict[str, str]:
    """Of a worker on the test's queue, with short deadlines and few connections."""
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "ORDERSAGA_TASK_QUEUE": settings.task_queue,
        "ORDERSAGA_DATABASE_POOL_SIZE": str(POOL),
        "ORDERSAGA_WORKER_HUNG_AFTER": "PT3S",
        "ORDERSAGA_WORKER_HEALTH_PORT": str(health),
        **{f"ORDERSAGA_{name.upper()}": str(value) for name, value in SHORT.items()},
        **more,
    }


class Page:
    """The health page of a worker."""

    def __init__(self, http: httpx.AsyncClient, port: int) -> None:
        self._http, self._base = http, f"http://{LOOPBACK}:{port}"

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        answer = await asyncio.wait_for(self._http.get(f"{self._base}{path}"), ANSWERED)
        return answer.status_code, answer.json()

    async def is_ready(self) -> bool:
        try:
            return (await self.get("/readyz"))[0] == 200
        except httpx.TransportError:
            return False


@pytest.mark.long
async def test_a_worker_outlives_an_outage_that_swallows_every_packet(
    shop: Shop, settings: Settings, start: Start, far_ends: httpx.AsyncClient
) -> None:
    """Orders under way and new ones: all of them are shipped in the end, by the same process."""
    async with database_link(settings) as (proxy, through):
        health = free_port()
        page = Page(far_ends, health)
        worker = await start(**environment(through, health))
        await until(page.is_ready, True)
        product = await shop.product(on_hand=100, price="10.00")
        orders = [await shop.put(product, 1) for _ in range(3 * POOL)]
        await shop.fault("carrier", "shipments.buy", "slow", times=POOL, delay_seconds=2.0)
        for order in orders[:POOL]:
            await shop.start(order)
        for order in orders[:POOL]:
            await until(lambda order=order: shop.status(order.order_id), OrderStatus.CONFIRMED)  # type: ignore[misc]
        proxy.swallow()  # while labels are bought, which are to be saved on connections that were used just now
        for order in orders[POOL:]:
            await shop.start(order)
        end = time.monotonic() + OUTAGE
        while time.monotonic() < end:
            assert (await page.get("/healthz"))[0] == 200
            status, parts = await page.get("/readyz")
            assert (status, parts) == (503, {"postgresql": "away", "temporal": "ok"})
        proxy.heal()
        for order in orders:
            await until(lambda order=order: shop.status(order.order_id), OrderStatus.READY_TO_SHIP, 60)  # type: ignore[misc]
        await until(page.is_ready, True)

        async def slots() -> dict[str, Any]:
            return (await page.get("/healthz"))[1]

        await until(slots, {"status": "ok", "attempts": 0, "hung": []})
        assert worker.running
    await shop.no_faults()


@pytest.mark.long
async def test_a_worker_finds_work_again_when_its_connection_to_temporal_died_in_silence(
    shop: Shop, settings: Settings, start: Start, far_ends: httpx.AsyncClient
) -> None:
    """Its waiting polls notice it by HTTP/2 pings; it need not be started again."""
    health = free_port()
    page = Page(far_ends, health)
    async with Proxy(int(settings.temporal_address.rpartition(":")[2])) as proxy:
        link = f"{LOOPBACK}:{proxy.port}"
        worker = await start(**environment(settings, health, TEMPORAL_ADDRESS=link))
        await until(page.is_ready, True)
        proxy.swallow()
        order = await shop.put(await shop.product(), 1)
        await shop.start(order)
        assert await page.get("/readyz") == (503, {"postgresql": "ok", "temporal": "away"})
        assert (await page.get("/healthz"))[0] == 200
        proxy.heal()
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP, 90)
        assert worker.running


async def test_an_api_outlives_an_outage_that_swallows_every_packet(
    settings: Settings, shop: Shop, worker: None
) -> None:
    """Callers hear 503 in time, the health pages tell the truth, and no connection is lost."""
    narrow = settings.model_copy(update={"database_pool_size": POOL, "sweep_interval": 3600.0})
    body = {
        "customerId": await shop.customer(),
        "items": [{"productId": await shop.product(on_hand=100), "quantity": 1}],
        "paymentMethod": "pm_card_visa",
    }
    async with database_link(narrow) as (proxy, through):
        app = create_app(through)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://api.test", timeout=30, auth=Anybody()
            ) as api:
                await _serves(api, body, app)
                services = app.state.services
                assert services.reads.pool is services.sessions.kw["bind"].pool  # so that /readyz asks the one in use
                proxy.swallow()
                callers = [asyncio.create_task(api.post("/api/orders", json=body)) for _ in range(3 * POOL)]
                alive = await asyncio.wait_for(api.get("/healthz"), ANSWERED)
                ready = [asyncio.create_task(api.get("/readyz")) for _ in range(2 * POOL)]
                answers = await asyncio.wait_for(asyncio.gather(*callers, *ready), 30)
                assert alive.status_code == 200
                assert {answer.status_code for answer in answers} == {503}
                assert {answer.json()["code"] for answer in answers[3 * POOL :]} == {"not_ready"}
                assert {answer.json()["postgresql"] for answer in answers[3 * POOL :]} == {"away"}
                proxy.heal()
                await until(lambda: _status(api, "/readyz"), 200)
                await _serves(api, body, app)


async def _status(api: httpx.AsyncClient, path: str) -> int:
    return (await api.get(path)).status_code


async def _serves(api: httpx.AsyncClient, body: dict[str, Any], app: FastAPI) -> None:
    """As many checkouts at once as there are connections; afterwards all of these are free.

    Where a statement takes longer than its short deadline, on a busy machine, the customers try again.
    """

    async def statuses() -> set[int]:
        return {
            answer.status_code
            for answer in await asyncio.gather(*(api.post("/api/orders", json=body) for _ in range(POOL)))
        }

    await until(statuses, {201})

    async def taken() -> int:
        count: int = app.state.services.reads.pool.checkedout()
        return count

    await until(taken, 0)


@pytest.mark.long
async def test_a_worker_whose_attempts_hang_ends_itself_to_be_started_again(
    shop: Shop, settings: Settings, start: Start, far_ends: httpx.AsyncClient
) -> None:
    """The database takes new connections, so a new worker is better off: it finishes the order."""
    health = free_port()
    page = Page(far_ends, health)
    few = environment(settings, health, ORDERSAGA_WORKER_SHUTDOWN_GRACE="0.5", ORDERSAGA_WORKER_HUNG_AFTER="PT1S")
    hanging = await start("-m", "tests.support.hanging_worker", **few)
    await until(page.is_ready, True)
    order = await shop.put(await shop.product(), 1)
    await shop.start(order)

    async def says_hung() -> bool:
        return (await page.get("/healthz"))[0] == 503

    await until(says_hung, True)
    assert await hanging.ended() == 3
    assert "attempts hang" in [line["event"] for line in hanging.lines]
    await start(**few)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
