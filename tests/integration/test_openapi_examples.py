"""What the API's own document gives as examples about money and carts works as it stands, with the reference data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from domain.identities import Role
from domain.order_states import OrderStatus
from services.carts.tables import Cart
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.waiting import until

TAGS = {"carts", "promotions", "rates", "orders", "refunds", "products", "customers", "inventory"}
LAMP = {"productId": 456, "name": "Desk Lamp", "price": 24.50, "onHand": 100}
WATCH = {"productId": "002", "name": "Smartwatch", "price": "199.99", "onHand": 200}
REFERENCE = {"customerId": 123, "name": "Reference", "email": "reference@example.com"}
OTHERS = {  # what needs an order in a state of its own, and is shown elsewhere
    ("post", "/api/orders/{orderId}/payment"),
    ("post", "/api/orders/{orderId}/lines/{productId}/drop"),
    ("put", "/api/customers/{customerId}/notifications"),
}


class Examples:
    """The examples of the document, sent as they stand; `used` are those that were."""

    def __init__(self, api: httpx.AsyncClient, document: dict[str, Any]) -> None:
        self._api = api
        self.all = dict(_examples(document))
        self.used: set[tuple[str, str]] = set()

    async def send(self, method: str, path: str, number: int = 0, key: str | None = None, **ids: str) -> Any:
        """What comes of it; it has to be done."""
        self.used.add((method, path))
        where = path.format(**ids)
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self._api.request(method, where, json=self.all[method, path][number], headers=headers)
        assert answer.is_success, (method, where, answer.text)
        return answer.json()


def _examples(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], list[Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not (TAGS & set(operation.get("tags", ())) and "requestBody" in operation):
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            one = next(found for found in (schema, *schema.get("anyOf", ())) if "$ref" in found)
            examples = document["components"]["schemas"][one["$ref"].rpartition("/")[2]].get("examples")
            assert examples, f"{method} {path} has no example"
            yield (method, path), examples


@pytest.fixture
async def examples(app: FastAPI) -> AsyncIterator[Examples]:
    """Sent by the shop and its operations, whose token says who they are."""
    who = Anybody(Role.SHOP, Role.OPERATIONS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", auth=who) as client:
        for path, body in (("customers", REFERENCE), ("products", LAMP), ("products", WATCH)):
            assert (await client.post(f"/api/{path}", json=body)).is_success
        yield Examples(client, (await client.get("/openapi.json")).json())


async def test_the_examples_work_as_they_stand(examples: Examples, shop: Shop, worker: None) -> None:
    """One shop after the other: goods, carts, orders, promotions, a refund, rates; and none is left out."""
    await examples.send("post", "/api/customers")
    await examples.send("post", "/api/products")
    for number in range(2):
        await examples.send("post", "/api/inventory/{productId}/update", number, productId="001")
    cart = await _carts(examples, shop)
    assert (await examples.send("post", "/api/orders"))["totalAmount"] == "49.00"
    assert (await examples.send("post", "/api/orders", 1))["totalAmount"] == "279.98"
    assert (await examples.send("patch", "/api/products/{productId}", productId="002"))["price"] == "27.00"
    try:
        await _money(examples, shop, cart)
    finally:
        for promotion in ("save10", "lamps-3-for-2"):
            await examples.send("patch", "/api/promotions/{promotionId}", promotionId=promotion)
        async with shop.sessions() as session, session.begin():
            for statement in ("DELETE FROM tax_rates", "DELETE FROM shipping_rates"):
                await (await session.connection()).execute(text(statement))
    assert examples.used | OTHERS == examples.all.keys()


async def _carts(examples: Examples, shop: Shop) -> str:
    """The id of a cart with four lamps, two of them from a guest's."""
    send = examples.send
    await send("post", "/api/cart/{customerId}/add", customerId="001")
    ordered = (await send("post", "/api/carts"))["cartId"]
    assert (await send("post", "/api/carts/{cartId}/checkout", cartId=ordered))["totalAmount"] == "49.00"
    await send("post", "/api/cart/{customerId}/add", customerId="001")
    await send("delete", "/api/cart/{customerId}/remove", customerId="001")
    cart = str((await send("post", "/api/carts"))["cartId"])
    guest = (await send("post", "/api/carts", 1))["cartId"]
    await send("post", "/api/carts/{cartId}/lines", cartId=guest)
    await send("put", "/api/carts/{cartId}/lines/{productId}", cartId=guest, productId="456")
    await _rename(shop, guest, examples.all["post", "/api/carts/{cartId}/merge"][0]["from"])
    merged = await send("post", "/api/carts/{cartId}/merge", cartId=cart)
    assert [(item["productId"], item["quantity"]) for item in merged["items"]] == [("456", 4)]
    return cart


async def _money(examples: Examples, shop: Shop, cart: str) -> None:
    """What takes something off, what is given back, and what tax and shipping cost."""
    send = examples.send
    for number in range(2):
        await send("post", "/api/promotions", number)
    await send("post", "/api/coupons")
    await send("patch", "/api/coupons/{code}", code="SAVE10")
    discounted = await send("put", "/api/carts/{cartId}/coupon", cartId=cart)
    assert [one["name"] for one in discounted["discounts"]] == ["3 lamps for 2", "Save 10 %"]
    lamps = (await send("post", "/api/orders", key="lamps"))["orderId"]
    await until(lambda: shop.status(lamps), OrderStatus.READY_TO_SHIP)
    for number in range(2):
        await send("post", "/api/orders/{orderId}/refunds", number, f"r{number}", orderId=lamps)
    await send("post", "/api/orders/{orderId}/cancel", orderId=lamps)
    await send("post", "/api/rates")


async def _rename(shop: Shop, cart_id: str, wanted: str) -> None:
    """The guest's cart has the id of the example."""
    async with shop.sessions() as session, session.begin():
        connection = await session.connection()
        old = await session.get_one(Cart, cart_id)
        session.add(Cart(**old.model_dump() | {"cart_id": wanted}))
        await session.flush()
        move = text("UPDATE cart_lines SET cart_id = :new WHERE cart_id = :old")
        await connection.execute(move, {"new": wanted, "old": cart_id})
