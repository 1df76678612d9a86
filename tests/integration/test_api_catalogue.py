"""Products, stock and customers over HTTP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from adapters.postgres.database import Sessions
from services.inventory.tables import Stock
from services.outbox.tables import OutboxEvent

NewProduct = Callable[..., Awaitable[str]]


@pytest.fixture
def product() -> dict[str, Any]:
    return {"productId": f"t-{secrets.token_hex(4)}", "name": "Desk Lamp", "price": "24.50", "onHand": 7}


@pytest.fixture
def customer() -> dict[str, Any]:
    return {"customerId": f"t-{secrets.token_hex(4)}", "name": "Alice Johnson", "email": "alice@example.com"}


async def events(sessions: Sessions, product_id: str) -> list[OutboxEvent]:
    async with sessions() as session:
        query = select(OutboxEvent).where(OutboxEvent.subject == product_id).order_by(col(OutboxEvent.sequence))
        return list(await session.exec(query))


async def test_adds_a_product_once(api: httpx.AsyncClient, product: dict[str, Any]) -> None:
    """201, then 200 for the same data, whether the price is a number or a text."""
    first = await api.post("/api/products", json=product)
    again = await api.post("/api/products", json=product | {"price": 24.5})

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == product | {"currency": "USD"}
    assert first.headers["Location"] == f"/api/products/{product['productId']}"
    assert (await api.get(first.headers["Location"])).json() == first.json()


async def test_gives_one_product_for_ten_same_requests_at_once(
    api: httpx.AsyncClient, product: dict[str, Any]
) -> None:
    """One is the first; nobody gets an error."""
    answers = await asyncio.gather(*(api.post("/api/products", json=product) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]


@pytest.mark.parametrize("other", [{"name": "Floor Lamp"}, {"price": "24.51"}, {"currency": "EUR"}], ids=repr)
async def test_refuses_a_product_that_exists_with_other_data(
    api: httpx.AsyncClient, product: dict[str, Any], other: dict[str, str]
) -> None:
    """409: adding is not changing."""
    await api.post("/api/products", json=product)

    answer = await api.post("/api/products", json=product | other)

    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/product-exists"


@pytest.mark.parametrize(
    ("given", "kept"),
    [(b"79.99", "79.99"), (b"1.1", "1.10"), (b"100", "100.00"), (b"1e2", "100.00"), (b'"0"', "0.00")],
    ids=repr,
)
async def test_reads_prices_exactly(api: httpx.AsyncClient, product: dict[str, Any], given: bytes, kept: str) -> None:
    """A JSON number is decimal; it never goes through a binary float."""
    raw = b'{"productId": "%s", "name": "Lamp", "price": %s}' % (product["productId"].encode(), given)

    answer = await api.post("/api/products", content=raw, headers={"Content-Type": "application/json"})

    assert answer.status_code == 201
    assert answer.json()["price"] == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("productId", "a b"),
        ("productId", ""),
        ("name", ""),
        ("name", " "),
        ("name", "x" * 201),
        ("name", "a\0b"),
        ("name", 5),
        ("price", "-1"),
        ("price", "1e2"),
        ("price", "NaN"),
        ("price", "Infinity"),
        ("price", " 1"),
        ("price", "1_0"),
        ("price", "1.2.3"),
        ("price", "."),
        ("price", ""),
        ("price", True),
        ("price", None),
        ("price", "1.001"),
        ("price", 0.001),
        ("price", "1000000"),
        ("price", "9" * 30),
        ("price", ["1"]),
        ("currency", "usd"),
        ("currency", "US"),
        ("onHand", -1),
        ("onHand", 1_000_000_001),
        ("onHand", 1.5),
        ("onHand", "1"),
        ("weight", 1),
    ],
    ids=repr,
)
async def test_names_the_bad_field_of_a_product(
    api: httpx.AsyncClient, product: dict[str, Any], field: str, value: Any
) -> None:
    """422, and nothing is stored."""
    answer = await api.post("/api/products", json=product | {field: value})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_knows_currencies_without_decimals(api: httpx.AsyncClient, product: dict[str, Any]) -> None:
    """500 yen are 500, and there is no half a yen."""
    yen = product | {"currency": "JPY", "price": 500}

    assert (await api.post("/api/products", json=yen | {"price": "500.5"})).status_code == 422
    assert (await api.post("/api/products", json=yen)).json()["price"] == "500"


@pytest.mark.parametrize("noun", ["products", "customers"])
async def test_lists_page_by_page(
    api: httpx.AsyncClient, product: dict[str, Any], customer: dict[str, Any], noun: str
) -> None:
    """Everything comes exactly once, in the order of ids."""
    one, key = (product, "productId") if noun == "products" else (customer, "customerId")
    for number in range(3):
        await api.post(f"/api/{noun}", json=one | {key: f"{one[key]}-{number}"})
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = (await api.get(f"/api/{noun}", params=params)).json()
        seen += [row[key] for row in page[noun]]
        if page["nextCursor"] is None:
            break
        params["cursor"] = page["nextCursor"]

    assert len(seen) == len(set(seen))
    assert {f"{one[key]}-{number}" for number in range(3)} <= set(seen)


@pytest.mark.parametrize("change", [{"quantityChange": -3}, {"onHand": 4}], ids=repr)
async def test_changes_the_stock(
    api: httpx.AsyncClient, product: dict[str, Any], sessions: Sessions, change: dict[str, int]
) -> None:
    """By a difference or to a level; InventoryUpdated tells other services, numbered without gaps."""
    await api.post("/api/products", json=product)
    address = f"/api/inventory/{product['productId']}"

    answer = await api.post(f"{address}/update", json=change)

    assert answer.status_code == 200
    expected = {"productId": product["productId"], "onHand": 4, "reserved": 0, "available": 4}
    assert answer.json() == (await api.get(address)).json() == expected
    first, second = await events(sessions, product["productId"])
    assert (first.sequence, second.sequence) == (1, 2)
    assert (second.type, second.source) == ("ordersaga.inventory.updated.v1", "/products")
    assert (first.data["quantityChange"], first.data["newQuantity"]) == (7, 7)
    assert (second.data["quantityChange"], second.data["newQuantity"]) == (-3, 4)


async def test_tells_nobody_of_a_change_that_is_none(
    api: httpx.AsyncClient, product: dict[str, Any], sessions: Sessions
) -> None:
    """The level that there is already is no event."""
    await api.post("/api/products", json=product)

    answer = await api.post(f"/api/inventory/{product['productId']}/update", json={"onHand": 7})

    assert answer.status_code == 200
    assert len(await events(sessions, product["productId"])) == 1


@pytest.mark.parametrize("change", [{"quantityChange": -7}, {"onHand": 3}], ids=repr)
async def test_refuses_stock_below_what_orders_hold(
    api: httpx.AsyncClient, new_product: NewProduct, sessions: Sessions, change: dict[str, int]
) -> None:
    """409 with both numbers; the stock stays."""
    product_id = await new_product(on_hand=10)
    async with sessions() as session, session.begin():
        (await session.get_one(Stock, product_id)).reserved = 4

    answer = await api.post(f"/api/inventory/{product_id}/update", json=change)

    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["type"], problem["onHand"], problem["reserved"]) == ("/problems/below-reserved", 10, 4)
    assert (await api.get(f"/api/inventory/{product_id}")).json()["onHand"] == 10


async def test_adds_up_changes_that_come_at_once(
    api: httpx.AsyncClient, new_product: NewProduct, sessions: Sessions
) -> None:
    """Twenty differences at once: none is lost, and the events are numbered without gaps."""
    product_id = await new_product(on_hand=10)
    address = f"/api/inventory/{product_id}/update"

    await asyncio.gather(*(api.post(address, json={"quantityChange": 1}) for _ in range(20)))

    assert (await api.get(f"/api/inventory/{product_id}")).json()["onHand"] == 30
    written = await events(sessions, product_id)
    assert [event.sequence for event in written] == list(range(1, 21))
    assert [event.data["newQuantity"] for event in written] == list(range(11, 31))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, "onHand"),
        ({"quantityChange": 1, "onHand": 1}, "onHand"),
        ({"quantityChange": 1.5}, "quantityChange"),
        ({"quantityChange": "1"}, "quantityChange"),
        ({"quantityChange": 10**20}, "quantityChange"),
        ({"quantityChange": 1_000_000_000}, "quantityChange"),
        ({"onHand": -1}, "onHand"),
        ({"reserved": 0, "onHand": 1}, "reserved"),
    ],
    ids=repr,
)
async def test_names_the_bad_field_of_a_stock_change(
    api: httpx.AsyncClient, new_product: NewProduct, change: dict[str, Any], field: str
) -> None:
    """422; exactly one of the two is needed."""
    answer = await api.post(f"/api/inventory/{await new_product()}/update", json=change)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_adds_a_customer_once(api: httpx.AsyncClient, customer: dict[str, Any]) -> None:
    """201, 200 for the same data, 409 for other data."""
    first = await api.post("/api/customers", json=customer)
    again = await api.post("/api/customers", json=customer)
    other = await api.post("/api/customers", json=customer | {"email": "bob@example.com"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json() == customer == (await api.get(f"/api/customers/{customer['customerId']}")).json()
    assert other.json()["type"] == "/problems/customer-exists"
    assert "alice" not in other.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "alice"),
        ("email", "alice@"),
        ("email", "@example.com"),
        ("email", "alice@example"),
        ("email", "al ice@example.com"),
        ("email", "a@b.c\n"),
        ("email", "a" * 250 + "@b.cd"),
        ("email", "a\0@example.com"),
        ("name", ""),
        ("name", None),
        ("customerId", "a/b"),
        ("phone", "1"),
    ],
    ids=repr,
)
async def test_names_the_bad_field_of_a_customer(
    api: httpx.AsyncClient, customer: dict[str, Any], field: str, value: Any
) -> None:
    """422, without repeating what was sent."""
    answer = await api.post("/api/customers", json=customer | {field: value})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
