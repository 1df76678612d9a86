"""Orders as they are read back: one, its timeline, and the list with its filters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from adapters.clock import now
from services.orders.book import OrderBook
from tests.support.orders import Shop
from tests.support.waiting import until

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]


@pytest.fixture
async def body(new_product: NewProduct, new_customer: NewCustomer) -> dict[str, Any]:
    """An order of two lamps at 10.00 that nothing is wrong with."""
    return {
        "customerId": await new_customer(),
        "items": [{"productId": await new_product(), "quantity": 2}],
        "paymentMethod": "pm_card_visa",
    }


async def test_keeps_the_options_of_an_order(
    api: httpx.AsyncClient, body: dict[str, Any], shop: Shop, worker: None
) -> None:
    """Address, wish date and metadata are stored; the address is for the label only and does not come back."""
    ship_at = now() + timedelta(days=4)
    address = {"street1": "1 Main Street", "city": "Springfield", "zip": "62701", "country": "US"}
    wanted = {
        "shippingAddress": address,
        "shipNotBefore": ship_at.isoformat(),
        "metadata": {"channel": "web"},
        "currency": "USD",
    }

    order = (await api.post("/api/orders", json=body | wanted)).json()

    assert order["metadata"] == {"channel": "web"}
    assert order["shipNotBefore"] == ship_at.isoformat().replace("+00:00", "Z")
    assert "shippingAddress" not in order
    row = await shop.order(order["orderId"])
    assert await OrderBook(shop.sessions).address_of(row) == address
    assert row.ship_not_before == ship_at


async def test_shows_the_parcel_and_the_timeline_behind_a_sequence(
    api: httpx.AsyncClient, body: dict[str, Any], worker: None
) -> None:
    """Once the label is bought the order shows carrier, tracking number and where the parcel is."""
    order_id = (await api.post("/api/orders", json=body)).json()["orderId"]

    async def status() -> str:
        return str((await api.get(f"/api/orders/{order_id}")).json()["status"])

    await until(status, "READY_TO_SHIP")
    order = (await api.get(f"/api/orders/{order_id}")).json()
    assert set(order["shipment"]) == {"carrier", "trackingNumber", "status", "updatedAt"}
    assert order["version"] == len(order["timeline"])
    events = (await api.get(f"/api/orders/{order_id}/events", params={"after": 2})).json()
    assert events == {"orderId": order_id, "events": order["timeline"][2:]}
    beyond = (await api.get(f"/api/orders/{order_id}/events", params={"after": 10**6})).json()
    assert beyond["events"] == []


async def test_lists_orders_newest_first_page_by_page(
    api: httpx.AsyncClient, body: dict[str, Any], shop: Shop, new_product: NewProduct
) -> None:
    """Every order comes exactly once, whatever the size of the page; filters narrow the list."""
    product_id = await new_product(on_hand=100)
    placed = [(await shop.put(product_id)).order_id for _ in range(5)]

    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"productId": product_id, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/api/orders", params=params)).json()
        seen += [order["orderId"] for order in page["orders"]]
        assert all("timeline" not in order for order in page["orders"])
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == placed[::-1]


async def test_filters_the_list(api: httpx.AsyncClient, shop: Shop, new_product: NewProduct) -> None:
    """By status, customer, product and time; filters are taken together."""
    order = await shop.put(await new_product())
    row = await shop.order(order.order_id)

    async def found(**params: str) -> bool:
        page = (await api.get("/api/orders", params={"customerId": order.customer_id, **params})).json()
        return [one["orderId"] for one in page["orders"]] == [order.order_id]

    later = (row.created_at + timedelta(seconds=1)).isoformat()
    assert await found()
    assert await found(status="PLACED", to=later)
    assert not await found(status="DELIVERED")
    assert await found(**{"from": row.created_at.isoformat()})
    assert not await found(**{"from": later})
    assert not await found(to=row.created_at.isoformat())
    assert not await found(productId="other")
