"""What a checkout refuses before anything is stored: each refusal names the field or the rule."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, func, select

from adapters.clock import now
from adapters.postgres.database import Sessions
from services.orders.tables import Order

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
async def body(new_product: NewProduct, new_customer: NewCustomer) -> dict[str, Any]:
    """An order that nothing is wrong with yet."""
    return {
        "customerId": await new_customer(),
        "items": [{"productId": await new_product(), "quantity": 2}],
        "paymentMethod": "pm_card_visa",
    }


def put(field: str, value: Any) -> Change:
    """Sets a top-level field."""
    return lambda body: body.update({field: value})


def item(field: str, value: Any) -> Change:
    """Sets a field of the first item."""
    return lambda body: body["items"][0].update({field: value})


def drop(field: str) -> Change:
    return lambda body: body.pop(field)


def address(**changes: Any) -> Change:
    good = {"street1": "1 Main Street", "city": "Springfield", "zip": "62701", "country": "US"}
    return put("shippingAddress", good | changes)


BAD: dict[str, tuple[Change, str]] = {
    "no customer": (drop("customerId"), "customerId"),
    "no items": (drop("items"), "items"),
    "no payment method": (drop("paymentMethod"), "paymentMethod"),
    "unknown customer": (put("customerId", "nobody"), "customerId"),
    "customer id null": (put("customerId", None), "customerId"),
    "customer id empty": (put("customerId", ""), "customerId"),
    "customer id too long": (put("customerId", "x" * 65), "customerId"),
    "customer id a bool": (put("customerId", True), "customerId"),
    "customer id with a fraction": (put("customerId", 1.5), "customerId"),
    "customer id with spaces": (put("customerId", "a b"), "customerId"),
    "customer id with NUL": (put("customerId", "a\0b"), "customerId"),
    "customer id a lone surrogate": (put("customerId", "\ud800"), "customerId"),
    "customer id with foreign digits": (put("customerId", "١٢٣"), "customerId"),
    "empty order": (put("items", []), "items"),
    "items no list": (put("items", {"productId": "1", "quantity": 1}), "items"),
    "item no object": (put("items", [1]), "items[0]"),
    "too many lines": (put("items", [{"productId": str(i), "quantity": 1} for i in range(501)]), "items"),
    "unknown product": (
        lambda body: body["items"].append({"productId": "missing", "quantity": 1}),
        "items[1].productId",
    ),
    "no quantity": (lambda body: body["items"][0].pop("quantity"), "items[0].quantity"),
    "quantity zero": (item("quantity", 0), "items[0].quantity"),
    "quantity negative": (item("quantity", -1), "items[0].quantity"),
    "quantity too large": (item("quantity", 100_001), "items[0].quantity"),
    "quantity huge": (item("quantity", 10**400), "items[0].quantity"),
    "quantity with a fraction": (item("quantity", 1.5), "items[0].quantity"),
    "quantity a whole fraction": (item("quantity", 2.0), "items[0].quantity"),
    "quantity a text": (item("quantity", "2"), "items[0].quantity"),
    "quantity a bool": (item("quantity", True), "items[0].quantity"),
    "quantity null": (item("quantity", None), "items[0].quantity"),
    "merged quantity too large": (
        lambda body: body["items"].append(body["items"][0] | {"quantity": 99_999}),
        "items[1].quantity",
    ),
    "price from the client": (item("price", "0.01"), "items[0].price"),
    "unit price from the client": (item("unit_price", 1), "items[0].unit_price"),
    "total from the client": (put("totalAmount", "0.01"), "totalAmount"),
    "unknown field": (put("coupon", "free"), "coupon"),
    "payment method unknown": (put("paymentMethod", "cash"), "paymentMethod"),
    "payment method no text": (put("paymentMethod", 1), "paymentMethod"),
    "payment method too long": (put("paymentMethod", "pm_" + "x" * 251), "paymentMethod"),
    "payment method with a path": (put("paymentMethod", "pm_/../x"), "paymentMethod"),
    "wish date without an offset": (put("shipNotBefore", "2030-01-01T00:00:00"), "shipNotBefore"),
    "wish date a number": (put("shipNotBefore", 1_900_000_000), "shipNotBefore"),
    "wish date a day": (put("shipNotBefore", "2030-01-01"), "shipNotBefore"),
    "wish date impossible": (put("shipNotBefore", "2030-02-30T00:00:00Z"), "shipNotBefore"),
    "wish date out of range": (put("shipNotBefore", "0001-01-01T00:00:00+14:00"), "shipNotBefore"),
    "wish date too far": (
        put("shipNotBefore", (now() + timedelta(days=91)).isoformat()),
        "shipNotBefore",
    ),
    "expected total negative": (put("expectedTotal", "-1"), "expectedTotal"),
    "expected total NaN": (put("expectedTotal", "NaN"), "expectedTotal"),
    "expected total with an exponent": (put("expectedTotal", "2e1"), "expectedTotal"),
    "expected total a bool": (put("expectedTotal", True), "expectedTotal"),
    "expected total too precise": (put("expectedTotal", "20.001"), "expectedTotal"),
    "currency another": (put("currency", "EUR"), "currency"),
    "currency in small letters": (put("currency", "usd"), "currency"),
    "address no object": (put("shippingAddress", "here"), "shippingAddress"),
    "address without a city": (put("shippingAddress", {"street1": "1 Main Street"}), "shippingAddress.city"),
    "address too long": (address(street1="x" * 201), "shippingAddress.street1"),
    "address with NUL": (address(city="a\0b"), "shippingAddress.city"),
    "address blank": (address(city="   "), "shippingAddress.city"),
    "address country by name": (address(country="Germany"), "shippingAddress.country"),
    "address with an unknown field": (address(planet="Mars"), "shippingAddress.planet"),
    "metadata no text": (put("metadata", {"a": 1}), "metadata.a"),
    "metadata too long": (put("metadata", {"a": "x" * 501}), "metadata.a"),
    "metadata with NUL": (put("metadata", {"a": "\0"}), "metadata.a"),
    "metadata too many": (put("metadata", {str(i): "" for i in range(21)}), "metadata"),
}


@pytest.mark.parametrize(("change", "field"), BAD.values(), ids=BAD.keys())
async def test_names_the_bad_field(
    api: httpx.AsyncClient, body: dict[str, Any], sessions: Sessions, change: Change, field: str
) -> None:
    """422 as a problem whose `errors` has the field by its JSON path, and no order."""
    customer_id = body["customerId"]
    change(body)

    answer = await api.post("/api/orders", content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-request"
    assert field in [error["field"] for error in problem["errors"]]
    assert all(error["message"] for error in problem["errors"])
    async with sessions() as session:
        query = select(func.count()).where(col(Order.customer_id) == customer_id)
        assert (await session.exec(query)).one() == 0


async def test_says_where_prices_come_from(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """A client that sends a price learns why it is refused."""
    body["items"][0]["price"] = "0.01"

    answer = await api.post("/api/orders", json=body)

    assert answer.json()["errors"] == [
        {"field": "items[0].price", "message": "prices come from the catalogue; leave this out"}
    ]


@pytest.mark.parametrize("field", ["customerId", "expectedTotal", "shipNotBefore", "currency", "paymentMethod"])
async def test_does_not_expand_a_huge_exponent(api: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    """1e999999999 is twelve bytes; as an integer it would be a gigabyte."""
    raw = json.dumps(body | {field: "HERE"}).replace('"HERE"', "1e999999999")

    answer = await api.post("/api/orders", content=raw, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_names_every_unknown_product_and_the_customer_at_once(
    api: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    """One answer is enough to mend the whole order."""
    body["customerId"] = "nobody"
    body["items"] = [{"productId": "x1", "quantity": 1}, *body["items"], {"productId": "x2", "quantity": 1}]

    answer = await api.post("/api/orders", json=body)

    assert [error["field"] for error in answer.json()["errors"]] == [
        "customerId",
        "items[0].productId",
        "items[2].productId",
    ]


async def test_refuses_mixed_currencies(
    api: httpx.AsyncClient, body: dict[str, Any], new_product: NewProduct
) -> None:
    """One order is one charge in one currency."""
    body["items"].append({"productId": await new_product(currency="EUR"), "quantity": 1})

    answer = await api.post("/api/orders", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "items[1].productId"


@pytest.mark.parametrize(("price", "quantity"), [("0.01", 49), ("999999.99", 2)], ids=["too small", "too large"])
async def test_refuses_a_total_that_stripe_would_not_charge(
    api: httpx.AsyncClient, body: dict[str, Any], new_product: NewProduct, price: str, quantity: int
) -> None:
    """Known before anything is reserved, so it is refused before."""
    body["items"] = [{"productId": await new_product(price=price), "quantity": quantity}]

    answer = await api.post("/api/orders", json=body)

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/total-not-chargeable"


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "x" * 256, "ü"], ids=repr)
async def test_refuses_a_bad_idempotency_key(api: httpx.AsyncClient, body: dict[str, Any], key: str) -> None:
    """400: 1 to 255 visible ASCII characters."""
    answer = await api.post("/api/orders", json=body, headers=[(b"Idempotency-Key", key.encode())])

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad-idempotency-key"
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"status": "LOST"}, "status"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01"}, "to"),
        ({"customerId": "a b"}, "customerId"),
        ({"sort": "asc"}, "sort"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "WyJhIiwgImIiXQ"}, "cursor"),
        ({"cursor": "W10"}, "cursor"),
        ({"cursor": "ü"}, "cursor"),
    ],
    ids=repr,
)
async def test_refuses_bad_filters(api: httpx.AsyncClient, params: dict[str, str], field: str) -> None:
    """A filter that is misspelled must not quietly list everything."""
    answer = await api.get("/api/orders", params=params)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
