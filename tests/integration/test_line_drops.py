"""A line that cannot be shipped: its stock is free again, the rest ships, and only the rest is captured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from adapters.settings import Settings
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from services.inventory.tables import Stock
from tests.support.orders import Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A shop with a grace period, in which the warehouse can look."""
    return settings.model_copy(update={"grace_period": timedelta(hours=1)})


@pytest.fixture
async def two_lines(api: httpx.AsyncClient, shop: Shop, worker: None) -> AsyncIterator[tuple[str, str, str]]:
    """(order id, a product of 2 x 10.00, a product of 1 x 7.50), confirmed and waiting."""
    lamp, vase = await shop.product(price="10.00"), await shop.product(price="7.50")
    items = [{"productId": lamp, "quantity": 2}, {"productId": vase, "quantity": 1}]
    body = {"customerId": await shop.customer(), "items": items, "paymentMethod": "credit_card"}
    answer = await api.post("/api/orders", json=body)
    assert answer.status_code == 201, answer.text
    yield answer.json()["orderId"], lamp, vase


async def drop(api: httpx.AsyncClient, order_id: str, product_id: str) -> httpx.Response:
    body = {"reason": "broken in the warehouse", "by": "anna"}
    return await api.post(f"/api/orders/{order_id}/lines/{product_id}/drop", json=body)


async def reserved(shop: Shop, product_id: str) -> int:
    async with shop.sessions() as session:
        return (await session.get_one(Stock, product_id)).reserved


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]


async def test_captures_the_lines_that_ship(
    api: httpx.AsyncClient, shop: Shop, two_lines: tuple[str, str, str]
) -> None:
    """7.50 of 27.50 is let go by Stripe; the stock of the other line leaves with the parcel."""
    order_id, lamp, vase = two_lines
    dropped = await drop(api, order_id, vase)
    assert dropped.status_code == 200, dropped.text
    assert [item.get("dropped", False) for item in dropped.json()["items"]] == [False, True]
    assert "broken in the warehouse" in dropped.json()["timeline"][-1]["what"]
    assert (await reserved(shop, lamp), await reserved(shop, vase)) == (2, 0)
    handle = shop.client.get_workflow_handle(f"order-{order_id}")
    await handle.signal(OrderFulfillment.ship_now)
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    assert await shop.money(order_id) == (0, 2000)
    view = (await api.get(f"/api/orders/{order_id}")).json()
    assert (view["totalAmount"], view["capturedAmount"]) == ("27.50", "20.00")
    captured = next(event for event in await shop.events(order_id) if "captured" in event.type)
    assert (captured.data["amount"], len(captured.data["items"])) == ("20.00", 1)
    await shop.parcel(order_id, "delivered")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    await until(lambda: shop.status(order_id), OrderStatus.DELIVERED)
    assert (await reserved(shop, lamp), await reserved(shop, vase)) == (0, 0)


async def test_a_cancel_behind_a_drop_gives_everything_back(
    api: httpx.AsyncClient, shop: Shop, two_lines: tuple[str, str, str]
) -> None:
    order_id, lamp, vase = two_lines
    await drop(api, order_id, vase)
    await api.post(f"/api/orders/{order_id}/cancel")
    await until(lambda: shop.status(order_id), OrderStatus.CANCELED)
    assert (await reserved(shop, lamp), await reserved(shop, vase)) == (0, 0)
    assert await shop.money(order_id) == (0, 0)


async def test_the_same_drop_again_changes_nothing(
    api: httpx.AsyncClient, shop: Shop, two_lines: tuple[str, str, str]
) -> None:
    """Ten at once, too: the stock is given back once."""
    order_id, _, vase = two_lines
    answers = await asyncio.gather(*(drop(api, order_id, vase) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert await reserved(shop, vase) == 0
    assert sum("line dropped" in row.what for row in await shop.timeline(order_id)) == 1


async def test_the_last_line_is_a_cancel(api: httpx.AsyncClient, two_lines: tuple[str, str, str]) -> None:
    """Both lines at once: one is dropped, for the other the answer names what to do."""
    order_id, lamp, vase = two_lines
    answers = await asyncio.gather(drop(api, order_id, lamp), drop(api, order_id, vase))
    refused = [answer for answer in answers if answer.status_code == 409]
    assert [code_of(answer) for answer in refused] == ["last-line"]


async def test_a_line_that_ships_already_is_refused(
    api: httpx.AsyncClient, shop: Shop, two_lines: tuple[str, str, str]
) -> None:
    """Once the label exists a refund is the way."""
    order_id, lamp, _ = two_lines
    await shop.client.get_workflow_handle(f"order-{order_id}").signal(OrderFulfillment.ship_now)
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    refused = await drop(api, order_id, lamp)
    assert (refused.status_code, code_of(refused)) == (409, "line-not-droppable")


async def test_names_what_is_unknown(api: httpx.AsyncClient, two_lines: tuple[str, str, str]) -> None:
    order_id, _, _ = two_lines
    assert code_of(await drop(api, order_id, "no-such")) == "no-such-line"
    assert code_of(await drop(api, "0" * 32, "no-such")) == "no-such-order"
