"""Too many checkouts on the real servers: refused before anything is stored, while all else is answered."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlmodel import col, func, select

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from api.app import create_app
from api.orders.admission import PROBES
from domain.order_states import OrderStatus
from services.orders.tables import Order
from tests.support.fakes import StepFaults
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.scrape import page
from tests.support.waiting import until
from tests.support.webhooks import Hooks

MOST = 2


@asynccontextmanager
async def api_with(settings: Settings, **changed: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings.model_copy(update=changed))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api.test", timeout=30, auth=Anybody(subject=secrets.token_hex(4))
        ) as client:
            yield client


@pytest.fixture
async def body(
    new_product: Callable[..., Awaitable[str]], new_customer: Callable[[], Awaitable[str]]
) -> dict[str, Any]:
    return {
        "customerId": await new_customer(),
        "items": [{"productId": await new_product(), "quantity": 1}],
        "paymentMethod": "pm_card_visa",
    }


async def check_out(api: httpx.AsyncClient, body: dict[str, Any], key: str) -> httpx.Response:
    return await api.post("/api/orders", json=body, headers={"Idempotency-Key": key})


async def test_refuses_a_checkout_too_many_and_answers_all_else(
    settings: Settings, body: dict[str, Any], sessions: Sessions, faults: StepFaults
) -> None:
    """503 with Retry-After and no row; a read, a webhook, a cancel and a repeat of a stored order are answered."""
    async with api_with(settings, max_checkouts=MOST) as api:
        faults.hold("reserve_inventory")
        begun = [asyncio.create_task(check_out(api, body, f"key-{number}")) for number in range(MOST)]

        async def stored() -> int:
            async with sessions() as session:
                query = select(func.count()).where(col(Order.customer_id) == body["customerId"])
                return (await session.exec(query)).one()

        await until(stored, MOST)
        refused = await check_out(api, body, "one-too-many")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["Retry-After"]) > 0
        assert await stored() == MOST
        seen = await page(api)
        assert seen.value("ordersaga_checkouts_shed_total", reason="in_flight") == 1
        assert seen.value("ordersaga_checkouts_in_flight") == MOST

        listed = (await api.get("/api/orders", params={"customerId": body["customerId"]})).json()["orders"]
        assert [order["status"] for order in listed] == ["PLACED"] * MOST
        await Hooks(api, settings, sessions).carrier("shp_of_nobody")
        repeat = await check_out(api, body, "key-0")
        assert (repeat.status_code, repeat.json()["code"]) == (503, "overloaded")
        stored_ids = {order["orderId"] for order in listed}
        assert (repeat.json()["orderId"] in stored_ids, repeat.json()["orderStatus"]) == (True, "PLACED")
        cancel = asyncio.create_task(api.post(f"/api/orders/{listed[0]['orderId']}/cancel"))
        await faults.arrived("reserve_inventory")
        faults.release("reserve_inventory")
        assert (await cancel).json()["decision"] in ("accepted", "joined")
        answers = [await one for one in begun]
        assert {answer.status_code for answer in answers} <= {201, 409}  # confirmed, or canceled before
        assert answers[0].json()["orderId"] == repeat.json()["orderId"]
        assert (await check_out(api, body, "one-too-many")).status_code == 201


async def test_a_repeat_of_an_answered_order_has_its_answer_however_many_wait(
    settings: Settings, body: dict[str, Any], faults: StepFaults
) -> None:
    """Its customer may have paid: "nothing was stored" would be wrong, and its answer costs a look."""
    async with api_with(settings, max_checkouts=1) as api:
        first = await check_out(api, body, "answered")
        assert first.status_code == 201
        faults.hold("reserve_inventory")
        waits = asyncio.create_task(check_out(api, body, "waits"))
        await faults.arrived("reserve_inventory")
        assert (await check_out(api, body, "new")).json()["code"] == "overloaded"
        repeat = await check_out(api, body, "answered")
        assert (repeat.status_code, repeat.json()["orderId"]) == (201, first.json()["orderId"])
        faults.release("reserve_inventory")
        assert (await waits).status_code == 201


async def test_closes_the_door_while_no_worker_takes_orders(
    settings: Settings, body: dict[str, Any], shop: Shop
) -> None:
    """One order waits, pending; a few checkouts at a time go on after it, the others are refused."""
    async with api_with(settings, checkout_budget=0.2, max_checkout_wait=0.5) as api:
        first = await check_out(api, body, "first")
        assert (first.status_code, first.json()["status"]) == (202, "PLACED")
        await asyncio.sleep(0.5)
        answers = await asyncio.gather(*(check_out(api, body, f"next-{number}") for number in range(5)))
        assert sorted(answer.status_code for answer in answers) == [202] * PROBES + [503, 503]
        assert (await check_out(api, body, "first")).status_code == 202  # the one that may go on
        assert await shop.status(first.json()["orderId"]) is OrderStatus.PLACED
