"""Checkout over HTTP, by the real workflow: each answer there is, and that a repeat never makes a second order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlmodel import col, func, select
from temporalio.client import Client

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.temporal.client import trace_link
from api.app import create_app
from domain.identities import Role
from services.catalogue.tables import Product
from services.orders.tables import Order, OrderStep
from services.payments.tables import Payment, PaymentAttempt
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.waiting import until
from worker import Activities, build_worker

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


async def count_orders(sessions: Sessions, customer_id: str) -> int:
    async with sessions() as session:
        query = select(func.count()).where(col(Order.customer_id) == customer_id)
        return (await session.exec(query)).one()


async def test_confirms_a_good_order(
    api: httpx.AsyncClient, body: dict[str, Any], settings: Settings, worker: None
) -> None:
    """201 with the whole order: lines with the catalogue's price, total, timeline, and links that lead on."""
    answer = await api.post("/api/orders", json=body)

    assert answer.status_code == 201
    order = answer.json()
    assert order["paymentStatus"] in ("Authorized", "Captured")  # the label and the capture may be done already
    assert order["items"] == [{**body["items"][0], "price": "10.00"}]
    assert (order["totalAmount"], order["currency"], order["needsAttention"]) == ("20.00", "USD", False)
    assert [row["to"] for row in order["timeline"]][:3] == ["PLACED", "RESERVED", "CONFIRMED"]
    assert order["timeline"][0]["from"] is None
    assert order["links"]["temporal"] == trace_link(settings, order["orderId"])
    assert answer.headers["Location"] == order["links"]["self"]
    assert (await api.get(f"/api/orders/{order['orderId']}")).json()["orderId"] == order["orderId"]


async def test_takes_the_reference_payload_as_it_stands(api: httpx.AsyncClient, worker: None) -> None:
    """snake_case names, integer ids and a bare kind of payment are what existing clients send."""
    await api.post("/api/customers", json={"customerId": 123, "name": "Reference", "email": "reference@example.com"})
    lamp = {"productId": 456, "name": "Desk Lamp", "price": 24.50, "onHand": 100}
    assert (await api.post("/api/products", json=lamp)).json()["price"] == "24.50"

    answer = await api.post(
        "/api/orders",
        json={
            "customer_id": 123,
            "items": [{"product_id": 456, "quantity": 2}],
            "payment_method": "credit_card",
        },
    )

    assert answer.status_code == 201
    order = answer.json()
    assert (order["customerId"], order["totalAmount"]) == ("123", "49.00")
    assert order["items"] == [{"productId": "456", "quantity": 2, "price": "24.50"}]


@pytest.mark.parametrize("card", ["pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"])
async def test_answers_402_when_the_card_is_declined(
    api: httpx.AsyncClient, body: dict[str, Any], shop: Shop, worker: None, card: str
) -> None:
    """The problem names the order, and nothing stays reserved or held."""
    answer = await api.post("/api/orders", json=body | {"paymentMethod": card})

    assert answer.status_code == 402
    refusal = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (refusal["status"], refusal["orderStatus"]) == (402, "REJECTED")
    assert refusal["links"]["self"].endswith(refusal["orderId"])
    books = await shop.books(refusal["orderId"])
    assert (books.reserved, books.held, books.kept) == (0, 0, 0)
    seen = (await api.get(f"/api/orders/{refusal['orderId']}")).json()
    assert seen["refusal"]["code"] == refusal["code"]


async def test_answers_409_when_the_stock_does_not_suffice(
    api: httpx.AsyncClient, body: dict[str, Any], worker: None
) -> None:
    """The type is stable and says that it was the stock, so that no client has to read the words."""
    body["items"][0]["quantity"] = 11

    answer = await api.post("/api/orders", json=body)

    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/out-of-stock"
    assert answer.json()["orderStatus"] == "REJECTED"


async def test_answers_202_with_a_client_secret_when_the_customer_has_to_act(
    api: httpx.AsyncClient, body: dict[str, Any], sessions: Sessions, worker: None
) -> None:
    """The secret is fetched for the answer, and is stored nowhere."""
    answer = await api.post("/api/orders", json=body | {"paymentMethod": "pm_card_authenticationRequired"})

    assert answer.status_code == 202
    order = answer.json()
    assert order["status"] == "AWAITING_CUSTOMER"
    secret = order["clientSecret"]
    assert "_secret_" in secret
    assert "clientSecret" not in (await api.get(f"/api/orders/{order['orderId']}")).json()
    async with sessions() as session:
        for table in (Order, Payment, OrderStep, PaymentAttempt):
            for row in await session.exec(select(table)):
                assert secret not in repr(row)


async def test_answers_202_without_a_worker_and_the_order_goes_on_when_one_comes(
    api: httpx.AsyncClient,
    body: dict[str, Any],
    settings: Settings,
    temporal_client: Client,
    activities: Activities,
) -> None:
    """An order that was taken is never lost: the checkout's budget ends the wait, not the order."""
    answer = await _short_of_time(settings, body)

    assert answer.status_code == 202
    order = answer.json()
    assert order["status"] == "PLACED"
    assert int(answer.headers["Retry-After"]) > 0
    async with build_worker(temporal_client, settings, activities):
        await until(lambda: _is_confirmed(api, order["orderId"]), True)


async def _is_confirmed(api: httpx.AsyncClient, order_id: str) -> bool:
    return (await api.get(f"/api/orders/{order_id}")).json()["status"] in ("CONFIRMED", "READY_TO_SHIP")


async def _short_of_time(settings: Settings, body: dict[str, Any]) -> httpx.Response:
    hasty = create_app(settings.model_copy(update={"checkout_budget": 0.5}))
    async with hasty.router.lifespan_context(hasty):
        transport = httpx.ASGITransport(hasty)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test", auth=Anybody()) as client:
            return await client.post("/api/orders", json=body)


async def test_gives_the_same_order_for_the_same_key_however_the_json_is_written(
    api: httpx.AsyncClient, body: dict[str, Any], shop: Shop, sessions: Sessions, worker: None
) -> None:
    """A retry after a lost answer: one order, one authorization, the same status code."""
    headers = {"Idempotency-Key": "cart-17"}
    first = await api.post("/api/orders", json=body, headers=headers)
    again = {
        "payment_method": body["paymentMethod"],
        "items": [{"quantity": 2, "product_id": body["items"][0]["productId"]}],
        "customer_id": body["customerId"],
        "metadata": {},
    }

    second = await api.post("/api/orders", json=again, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["orderId"] == second.json()["orderId"]
    assert await count_orders(sessions, body["customerId"]) == 1
    assert await shop.authorizations(first.json()["orderId"]) == 1


async def test_gives_one_order_for_20_same_checkouts_at_once(
    api: httpx.AsyncClient, body: dict[str, Any], shop: Shop, sessions: Sessions, worker: None
) -> None:
    """Twins that race each other all get the one order's answer."""
    answers = await asyncio.gather(
        *(api.post("/api/orders", json=body, headers={"Idempotency-Key": "race"}) for _ in range(20))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["orderId"] for answer in answers}) == 1
    assert await count_orders(sessions, body["customerId"]) == 1
    assert await shop.authorizations(answers[0].json()["orderId"]) == 1


async def test_refuses_a_key_that_was_used_for_another_body(
    api: httpx.AsyncClient, body: dict[str, Any], sessions: Sessions, worker: None
) -> None:
    """422: the client mixed its keys up; the first order stays as it is."""
    headers = {"Idempotency-Key": "mixed-up"}
    await api.post("/api/orders", json=body, headers=headers)
    body["items"][0]["quantity"] = 3

    answer = await api.post("/api/orders", json=body, headers=headers)

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/idempotency-key-reused"
    assert await count_orders(sessions, body["customerId"]) == 1


async def test_keeps_the_keys_of_customers_apart(
    api: httpx.AsyncClient, body: dict[str, Any], new_customer: NewCustomer, worker: None
) -> None:
    """Two customers who both count from 1 do not get each other's orders, nor does who orders for both."""
    headers = {"Idempotency-Key": "1"}
    first = await api.post("/api/orders", json=body, headers=headers)
    other = body | {"customerId": await new_customer()}
    theirs = Anybody(Role.CUSTOMER, customer_id=other["customerId"])
    second = await api.post("/api/orders", json=other, headers=headers, auth=theirs)
    same_client = await api.post("/api/orders", json=other, headers=headers)

    assert (first.status_code, second.status_code, same_client.status_code) == (201, 201, 422)
    assert first.json()["orderId"] != second.json()["orderId"]


async def test_makes_two_orders_without_a_key(api: httpx.AsyncClient, body: dict[str, Any], worker: None) -> None:
    """The header is optional: without it every request is an order of its own."""
    orders = [(await api.post("/api/orders", json=body)).json()["orderId"] for _ in range(2)]

    assert orders[0] != orders[1]
    assert all(len(order) == 32 for order in orders)


async def test_answers_a_replay_from_the_row_even_when_the_price_has_changed(
    api: httpx.AsyncClient, body: dict[str, Any], sessions: Sessions, worker: None
) -> None:
    """The price was settled when the order was placed."""
    wanted = body | {"expectedTotal": "20.00"}
    headers = {"Idempotency-Key": "settled"}
    await api.post("/api/orders", json=wanted, headers=headers)
    async with sessions() as session, session.begin():
        product = await session.get_one(Product, body["items"][0]["productId"])
        product.price_minor = 9900

    answer = await api.post("/api/orders", json=wanted | {"expectedTotal": 20}, headers=headers)

    assert answer.status_code == 201
    assert answer.json()["totalAmount"] == "20.00"


async def test_repeats_a_refusal_for_the_same_key(api: httpx.AsyncClient, body: dict[str, Any], worker: None) -> None:
    """A declined checkout stays declined under its key; another try takes another key."""
    declined = body | {"paymentMethod": "pm_card_chargeDeclined"}
    answers = [await api.post("/api/orders", json=declined, headers={"Idempotency-Key": "no"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [402, 402]
    assert answers[0].json() == answers[1].json()


async def test_merges_lines_of_one_product(api: httpx.AsyncClient, body: dict[str, Any], worker: None) -> None:
    """Two lines of a product are one line of their sum, in the place of the first."""
    body["items"].append({"productId": body["items"][0]["productId"], "quantity": 1})

    order = (await api.post("/api/orders", json=body)).json()

    assert order["items"] == [{"productId": body["items"][0]["productId"], "quantity": 3, "price": "10.00"}]
    assert order["totalAmount"] == "30.00"


async def test_confirms_a_free_order_without_a_payment(
    api: httpx.AsyncClient, body: dict[str, Any], new_product: NewProduct, shop: Shop, worker: None
) -> None:
    """A total of 0 skips the payment."""
    body["items"] = [{"productId": await new_product(price="0.00"), "quantity": 1}]

    answer = await api.post("/api/orders", json=body)

    assert answer.status_code == 201
    assert answer.json()["totalAmount"] == "0.00"
    assert await shop.authorizations(answer.json()["orderId"]) == 0


async def test_refuses_a_total_that_the_catalogue_does_not_confirm(
    api: httpx.AsyncClient, body: dict[str, Any], sessions: Sessions
) -> None:
    """409 naming both totals, before anything is stored."""
    answer = await api.post("/api/orders", json=body | {"expectedTotal": 19.99})

    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "/problems/total-changed"
    assert (problem["expectedTotal"], problem["totalAmount"]) == ("19.99", "20.00")
    assert problem["errors"][0]["field"] == "expectedTotal"
    assert await count_orders(sessions, body["customerId"]) == 0
