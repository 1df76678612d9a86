"""Carts over HTTP: what is in them, at which price, for whom; and that an order is placed from one exactly once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, func, select

from adapters.settings import Settings
from domain.order_states import OrderStatus
from services.inventory.tables import Stock
from services.orders.tables import Order
from services.payments.tables import Payment
from tests.support.orders import Shop
from tests.support.waiting import until

NewCustomer = Callable[[], Awaitable[str]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A shop with a grace period, so that an order stays CONFIRMED until somebody says so."""
    return settings.model_copy(update={"grace_period": timedelta(hours=1)})


@pytest.fixture
async def customer(new_customer: NewCustomer) -> str:
    return await new_customer()


@pytest.fixture
async def lamp(shop: Shop) -> str:
    """100 lamps at 24.50, as in the reference data."""
    return await shop.product(on_hand=100, price="24.50")


async def add(
    api: httpx.AsyncClient, customer: str, product: str, quantity: Any = 1, **headers: str
) -> httpx.Response:
    body = {"productId": product, "quantity": quantity}
    return await api.post(f"/cart/{customer}/add", json=body, headers=headers)


async def check_out(api: httpx.AsyncClient, cart_id: str, total: str, key: str | None = None) -> httpx.Response:
    body = {"paymentMethod": "credit_card", "expectedTotal": total}
    headers = {"Idempotency-Key": key} if key else {}
    return await api.post(f"/api/carts/{cart_id}/checkout", json=body, headers=headers)


async def reserved(shop: Shop, product: str) -> int:
    async with shop.sessions() as session:
        return (await session.get_one(Stock, product)).reserved


async def orders_of(shop: Shop, customer: str) -> int:
    async with shop.sessions() as session:
        return (await session.exec(select(func.count()).where(col(Order.customer_id) == customer))).one()


async def payments_of(shop: Shop, customer: str) -> int:
    mine = select(col(Order.order_id)).where(Order.customer_id == customer)
    async with shop.sessions() as session:
        return (await session.exec(select(func.count()).where(col(Payment.order_id).in_(mine)))).one()


async def test_parallel_adds_are_counted_once_each(api: httpx.AsyncClient, customer: str, lamp: str) -> None:
    """Twenty of one piece, five sent twice by key: 20 pieces; then a PUT that knows an old version is refused."""
    keys = [secrets.token_hex(8) for _ in range(20)]
    answers = await asyncio.gather(
        *(add(api, customer, lamp, **{"Idempotency-Key": key}) for key in [*keys, *keys[:5]])
    )
    assert {answer.status_code for answer in answers} == {200}

    answer = await api.get(f"/cart/{customer}")
    cart = answer.json()
    assert [(item["productId"], item["quantity"]) for item in cart["items"]] == [(lamp, 20)]
    assert answer.headers["ETag"] == f'"{cart["version"]}"' == '"21"'

    line, wanted = f"/api/carts/{cart['cartId']}/lines/{lamp}", {"quantity": 3}
    stale = await api.put(line, json=wanted, headers={"If-Match": '"20"'})
    assert (stale.status_code, stale.json()["type"], stale.json()["version"]) == (412, "/problems/stale-cart", 21)
    fresh = await api.put(line, json=wanted, headers={"If-Match": '"21"'})
    assert (fresh.status_code, fresh.json()["items"][0]["quantity"]) == (200, 3)


async def test_parallel_checkouts_place_one_order(
    api: httpx.AsyncClient, shop: Shop, worker: None, customer: str, lamp: str
) -> None:
    """Ten by two keys: one order of 49.00, two lamps reserved, one PaymentIntent; an add meanwhile is not lost."""
    cart_id = (await add(api, customer, lamp, 2)).json()["cartId"]

    checkouts = asyncio.gather(*(check_out(api, cart_id, "49.00", key) for key in ["one", "two"] * 5))
    await until(lambda: orders_of(shop, customer), 1)
    added = await add(api, customer, lamp, 3)
    answers = await checkouts

    placed = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer.json() for answer in answers if answer.status_code != 201]
    assert added.status_code == 200
    order_id, total, pieces = placed[0]["orderId"], placed[0]["totalAmount"], placed[0]["items"][0]["quantity"]
    assert (len(placed), total, pieces) == (5, "49.00", 2)
    assert {one["orderId"] for one in placed} == {order_id}
    assert {(one["type"], one["orderId"]) for one in refused} == {("/problems/cart-ordered", order_id)}
    assert all(one["links"]["self"].endswith(f"/api/orders/{order_id}") for one in refused)
    found = (await reserved(shop, lamp), await orders_of(shop, customer), await payments_of(shop, customer))
    assert found == (2, 1, 1)
    assert [item["quantity"] for item in (await api.get(f"/cart/{customer}")).json()["items"]] == [3]


async def test_a_changed_price_has_to_be_agreed_to(
    api: httpx.AsyncClient, worker: None, customer: str, lamp: str
) -> None:
    """Seen in the cart as what it was and is; the old total is refused with the new one, which is then taken."""
    cart_id = (await add(api, customer, lamp, 2)).json()["cartId"]
    assert (await api.patch(f"/api/products/{lamp}", json={"price": "27.00"})).status_code == 200

    cart = (await api.get(f"/api/carts/{cart_id}")).json()
    assert (cart["items"][0]["priceChange"], cart["total"]) == ({"was": "24.50", "now": "27.00"}, "54.00")
    refused = await check_out(api, cart_id, "49.00", "one")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/total-changed")
    assert refused.json()["totalAmount"] == "54.00"
    placed = await check_out(api, cart_id, "54.00", "two")
    assert (placed.status_code, placed.json()["totalAmount"]) == (201, "54.00")
    assert (await check_out(api, cart_id, "54.00", "two")).json()["orderId"] == placed.json()["orderId"]


@pytest.mark.slow
async def test_the_last_coupon_goes_to_one_of_twenty(
    api: httpx.AsyncClient, shop: Shop, worker: None, new_customer: NewCustomer, lamp: str
) -> None:
    """One pays 22.05, nineteen are refused and have their carts back; a cancel frees it for the next."""
    code = f"ONCE-{secrets.token_hex(4).upper()}"
    promotion = await api.post("/api/promotions", json={"name": "10 % off", "kind": "percent", "value": "10"})
    coupon = {"code": code, "promotionId": promotion.json()["promotionId"], "usageLimit": 1}
    assert (await api.post("/api/coupons", json=coupon)).status_code == 201
    carts = []
    for _ in range(20):
        cart_id = (await add(api, await new_customer(), lamp)).json()["cartId"]
        cart = await api.put(f"/api/carts/{cart_id}/coupon", json={"code": code.lower()})
        assert (cart.status_code, cart.json()["total"]) == (200, "22.05"), cart.text
        carts.append(cart_id)

    answers = await asyncio.gather(*(check_out(api, cart_id, "22.05") for cart_id in carts))

    placed = [answer.json() for answer in answers if answer.status_code == 201]
    assert [(order["totalAmount"], order["discounts"][0]["code"]) for order in placed] == [("22.05", code)]
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} == {
        "/problems/coupon-exhausted"
    }
    assert await reserved(shop, lamp) == 1
    loser = next(cart_id for cart_id, answer in zip(carts, answers, strict=True) if answer.status_code == 409)
    view = (await api.get(f"/api/carts/{loser}")).json()
    assert (view["state"], view["couponRefusal"]["code"]) == ("open", "exhausted")

    await api.post(f"/api/orders/{placed[0]['orderId']}/cancel", json={})
    await until(lambda: shop.status(placed[0]["orderId"]), OrderStatus.CANCELED)
    assert (await check_out(api, loser, "22.05")).status_code == 201


async def test_a_rejected_order_gives_the_cart_back(
    api: httpx.AsyncClient, shop: Shop, worker: None, customer: str
) -> None:
    """Out of stock: the same key has the same answer, and the cart can be ordered when there is stock again."""
    product = await shop.product(on_hand=1)
    cart_id = (await add(api, customer, product, 2)).json()["cartId"]
    answers = [await check_out(api, cart_id, "20.00", "one") for _ in range(2)]
    assert [(one.status_code, one.json()["type"]) for one in answers] == [(409, "/problems/out-of-stock")] * 2
    cart = (await api.get(f"/api/carts/{cart_id}")).json()
    assert (cart["state"], cart["items"][0]["availability"]) == ("open", "low")

    assert (await api.post(f"/inventory/{product}/update", json={"onHand": 9})).status_code == 200
    placed = await check_out(api, cart_id, "20.00", "two")
    assert placed.status_code == 201
    assert placed.json()["orderId"] != answers[0].json()["orderId"]


async def test_the_reference_paths(
    api: httpx.AsyncClient, shop: Shop, worker: None, customer: str, lamp: str
) -> None:
    """With and without `/api`: cart, add, remove by query or body, stock, order; reading writes nothing."""
    for prefix in ("", "/api"):
        empty = await api.get(f"{prefix}/cart/{customer}")
        assert (empty.status_code, empty.json()["items"], "cartId" in empty.json()) == (200, [], False)
    removed = await api.request("DELETE", f"/cart/{customer}/remove", params={"productId": lamp})
    assert (removed.status_code, "cartId" in removed.json()) == (200, False)

    body = {"product_id": lamp, "quantity": 3}
    assert (await api.post(f"/api/cart/{customer}/add", json=body)).json()["items"][0]["amount"] == "73.50"
    by_query = await api.request("DELETE", f"/cart/{customer}/remove?productId={lamp}&quantity=1")
    assert by_query.json()["items"][0]["quantity"] == 2
    by_body = await api.request("DELETE", f"/api/cart/{customer}/remove", json={"productId": lamp})
    assert (by_body.json()["items"], by_body.json()["total"], by_body.json()["currency"]) == ([], "0.00", None)

    assert (await api.post(f"/inventory/{lamp}/update", json={"quantityChange": -95})).json()["onHand"] == 5
    assert (await api.get(f"/inventory/{lamp}")).json()["available"] == 5
    assert (await add(api, customer, lamp)).json()["items"][0]["availability"] == "low"
    order = {"customer_id": customer, "items": [{"product_id": lamp, "quantity": 2}], "payment_method": "credit_card"}
    placed = await api.post("/order", json=order)
    assert (placed.status_code, placed.json()["totalAmount"]) == (201, "49.00")


async def test_a_guest_logs_in(api: httpx.AsyncClient, worker: None, customer: str, lamp: str) -> None:
    """The guest's cart comes to the customer's, once; only then it can be ordered."""
    made = await api.post("/api/carts", json={})
    guests = made.json()["cartId"]
    assert (made.status_code, made.headers["Location"], made.headers["ETag"]) == (201, f"/api/carts/{guests}", '"1"')
    assert (await api.put(f"/api/carts/{guests}/lines/{lamp}", json={"quantity": 2})).status_code == 200
    assert (await check_out(api, guests, "49.00")).json()["type"] == "/problems/cart-of-a-guest"
    await add(api, customer, lamp)
    mine = (await api.post("/api/carts", json={"customerId": customer})).json()["cartId"]

    for _ in range(2):
        merged = await api.post(f"/api/carts/{mine}/merge", json={"from": guests})
        assert (merged.status_code, merged.json()["total"]) == (200, "73.50")

    source = (await api.get(f"/api/carts/{guests}")).json()
    assert (source["state"], source["mergedInto"]) == ("merged", mine)
    assert (await api.request("DELETE", f"/api/carts/{mine}/lines/{lamp}")).json()["items"] == []


@pytest.mark.parametrize("quantity", [0, -1, 1.5, 100_001, "two", None, True])
async def test_refuses_a_bad_number_of_pieces(
    api: httpx.AsyncClient, customer: str, lamp: str, quantity: Any
) -> None:
    """One type of problem, which names the field; no cart comes of it."""
    answer = await add(api, customer, lamp, quantity)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-quantity")
    assert answer.json()["errors"][0]["field"] == "quantity"
    assert "cartId" not in (await api.get(f"/cart/{customer}")).json()


async def test_each_mistake_has_its_own_problem(api: httpx.AsyncClient, shop: Shop, customer: str, lamp: str) -> None:
    """And changes nothing: the cart has the version that it had."""
    cart_id = (await add(api, customer, lamp)).json()["cartId"]
    cart, euro = f"/api/carts/{cart_id}", await shop.product(currency="EUR")
    promotion = {"name": "Old", "kind": "percent", "value": "10", "ends": "2020-01-01T00:00:00Z"}
    old = (await api.post("/api/promotions", json=promotion)).json()["promotionId"]
    code = f"OLD-{secrets.token_hex(4)}"
    assert (await api.post("/api/coupons", json={"code": code, "promotionId": old})).status_code == 201
    answers = {
        "unknown-product": await add(api, customer, "p-nowhere"),
        "other-currency": await add(api, customer, euro),
        "no-such-customer": await add(api, "c-nobody", lamp),
        "coupon-expired": await api.put(f"{cart}/coupon", json={"code": code}),
        "coupon-unknown": await api.put(f"{cart}/coupon", json={"code": "NOWHERE"}),
        "no-such-cart": await api.put(f"/api/carts/{'0' * 32}/lines/{lamp}", json={"quantity": 1}),
        "bad-if-match": await api.put(f"{cart}/lines/{lamp}", json={"quantity": 1}, headers={"If-Match": "one"}),
        "same-cart": await api.post(f"{cart}/merge", json={"from": cart_id}),
        "invalid-request": await api.post(f"{cart}/checkout", json={"paymentMethod": "credit_card"}),
    }
    assert {name: answer.json()["type"].rpartition("/")[2] for name, answer in answers.items()} == {
        name: name for name in answers
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "unknown-product": 422,
        "other-currency": 409,
        "no-such-customer": 404,
        "coupon-expired": 409,
        "coupon-unknown": 422,
        "no-such-cart": 404,
        "bad-if-match": 400,
        "same-cart": 409,
        "invalid-request": 422,
    }
    assert (await api.get(cart)).json()["version"] == 2
