"""Discounts, tax, fee and coupons over HTTP: the total that is shown, taken, told and given back, to the penny."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from adapters.settings import Settings
from domain.order_states import OrderStatus
from services.inventory.tables import Stock
from tests.support.orders import Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

ADDRESS = {"street1": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701", "country": "US"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A shop with a grace period, so that an order stays CONFIRMED until somebody says so."""
    return settings.model_copy(update={"grace_period": timedelta(hours=1)})


@pytest.fixture
async def rates(api: httpx.AsyncClient, shop: Shop) -> AsyncIterator[None]:
    """8.25 % on top in Illinois; 5.95 for the carrier's Express, which is not its cheapest rate."""
    tax = {"country": "US", "region": "IL", "rate": "8.25", "validFrom": "2026-01-01"}
    fee = {"option": "fast", "country": "US", "fee": "5.95", "service": "Express", "validFrom": "2026-01-01"}
    answer = await api.post("/api/rates", json={"taxRates": [tax], "shippingRates": [fee]})
    assert (answer.status_code, answer.json()) == (200, {"taxRates": 1, "shippingRates": 1})
    yield
    async with shop.sessions() as session, session.begin():
        for table in ("tax_rates", "shipping_rates"):
            await (await session.connection()).execute(text(f"DELETE FROM {table}"))  # noqa: S608


async def coupon(api: httpx.AsyncClient, **limits: int) -> str:
    """A code for 10 % off the order."""
    wanted = {"name": "Save 10 %", "kind": "percent", "value": "10", "by": "anna"}
    promotion = await api.post("/api/promotions", json=wanted)
    assert promotion.status_code == 201, promotion.text
    body = {"code": f"save10-{secrets.token_hex(4)}", "promotionId": promotion.json()["promotionId"], **limits}
    answer = await api.post("/api/coupons", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


async def order(api: httpx.AsyncClient, shop: Shop, items: dict[str, int], **more: Any) -> httpx.Response:
    """The answer that a patient client gets, who sends the same request again when it is told to (503, 202)."""
    lines = [{"productId": product_id, "quantity": quantity} for product_id, quantity in items.items()]
    customer_id = await shop.customer()
    body = {"customerId": customer_id, "items": lines, "paymentMethod": "credit_card", **more}
    key = {"Idempotency-Key": secrets.token_hex(8)}
    while True:
        answer = await api.post("/api/orders", json=body, headers=key)
        if answer.status_code not in (202, 503):
            return answer
        await asyncio.sleep(0.2)


async def test_a_total_with_all_its_parts_from_the_checkout_to_a_refund(
    api: httpx.AsyncClient, shop: Shop, worker: None, rates: None
) -> None:
    """128.99 - 12.90 + 5.95 + 10.07 = 132.11 is shown, told and captured; one lamp back is 23.87."""
    headphones, lamp, code = await shop.product(price="79.99"), await shop.product(price="24.50"), await coupon(api)
    asked = {"couponCodes": [code.lower()], "shippingAddress": ADDRESS, "expectedTotal": "132.11"}
    answer = await order(api, shop, {headphones: 1, lamp: 2}, **asked)
    assert answer.status_code == 201, answer.text
    order_id = answer.json()["orderId"]

    view = (await api.get(f"/api/orders/{order_id}")).json()
    assert {name: view[name] for name in ("subtotal", "discounts", "shippingFee", "taxes", "totalAmount")} == {
        "subtotal": "128.99",
        "discounts": [{"name": "Save 10 %", "code": code, "amount": "12.90"}],
        "shippingFee": "5.95",
        "taxes": [{"rate": "8.25", "amount": "10.07", "inclusive": False}],
        "totalAmount": "132.11",
    }
    assert [(item["discount"], item["tax"]) for item in view["items"]] == [("8.00", "5.94"), ("4.90", "3.64")]
    placed = (await shop.events(order_id))[0].data
    parts = ("subtotalAmount", "discountAmount", "shippingFee", "addedTaxAmount", "totalAmount")
    assert [placed[name] for name in parts] == ["128.99", "12.90", "5.95", "10.07", "132.11"]

    await shop.client.get_workflow_handle(f"order-{order_id}").signal(OrderFulfillment.ship_now)
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    assert await shop.money(order_id) == (0, 13211)
    assert await bought_service(shop, order_id) == "Express"

    back = {"items": [{"productId": lamp, "quantity": 1}], "reason": "broken", "by": "alice"}
    given = await api.post(f"/api/orders/{order_id}/refunds", json=back, headers={"Idempotency-Key": "r1"})
    assert given.status_code == 201, given.text
    assert given.json()["items"] == [{"productId": lamp, "quantity": 1, "amount": "23.87"}]
    rest = {"items": [{"productId": lamp, "quantity": 1}, {"productId": headphones, "quantity": 1}]}
    given = await api.post(f"/api/orders/{order_id}/refunds", json=back | rest, headers={"Idempotency-Key": "r2"})
    assert (given.status_code, given.json()["amount"]) == (201, "108.24")  # with the fee: 132.11 - 23.87
    assert await shop.money(order_id) == (0, 0)


async def test_a_code_with_one_use_is_one_order_of_twenty_and_comes_back_with_a_cancel(
    api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """22.05 once; the others are told why and hold nothing."""
    lamp, code = await shop.product(price="24.50", on_hand=30), await coupon(api, usageLimit=1)
    answers = await asyncio.gather(*(order(api, shop, {lamp: 1}, couponCodes=[code]) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 19]
    [won] = [answer.json() for answer in answers if answer.status_code == 201]
    assert won["totalAmount"] == "22.05"
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"coupon_exhausted"}
    assert await reserved(shop, lamp) == 1
    await api.post(f"/api/orders/{won['orderId']}/cancel", json={"reason": "no"})
    await until(lambda: shop.status(won["orderId"]), OrderStatus.CANCELED)
    assert (await api.get(f"/api/coupons/{code}")).json()["used"] == 0
    again = await order(api, shop, {lamp: 1}, couponCodes=[code])
    assert (again.status_code, again.json()["totalAmount"]) == (201, "22.05")


async def test_what_a_shop_sets_is_checked_listed_and_remembered(api: httpx.AsyncClient) -> None:
    """Each refusal names its field; the same again changes nothing."""
    name = f"gift-{secrets.token_hex(4)}"
    wanted = {"promotionId": name, "name": "3 for 2", "kind": "buy_x_get_y", "buy": 2, "get": 1}
    added = [(await api.post("/api/promotions", json=wanted)).status_code for _ in range(2)]
    assert added == [201, 200]
    other = await api.post("/api/promotions", json=wanted | {"get": 2})
    bad = await api.post("/api/promotions", json={"name": "x", "kind": "percent"})
    assert (other.status_code, other.json()["code"]) == (409, "promotion_exists")
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "value")

    changed = await api.patch(f"/api/promotions/{name}", json={"ends": "2030-01-01T00:00:00Z", "by": "bob"})
    assert changed.json()["ends"] == "2030-01-01T00:00:00Z"
    history = (await api.get(f"/api/promotions/{name}/history")).json()["changes"]
    assert (history[0]["by"], list(history[0]["change"])) == ("bob", ["ends"])
    assert name in [one["promotionId"] for one in (await api.get("/api/promotions?limit=100")).json()["promotions"]]
    missing = await api.patch("/api/coupons/nowhere", json={"active": False})
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_coupon")


async def test_a_bad_rate_keeps_all_rates_out(api: httpx.AsyncClient) -> None:
    """The first one that is wrong is named by its place; the good one before it is not there."""
    good = {"country": "ZZ", "rate": "5", "validFrom": "2026-01-01"}
    bad = await api.post("/api/rates", json={"taxRates": [good, good | {"rate": "101"}, good | {"validFrom": "x"}]})
    twice = await api.post("/api/rates", json={"taxRates": [good, good]})
    assert [one["field"] for one in bad.json()["errors"]] == ["taxRates[1].rate"]
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "taxRates[1]")
    assert "ZZ" not in [rate["country"] for rate in (await api.get("/api/rates")).json()["taxRates"]]


async def test_a_price_changes_for_the_next_order(api: httpx.AsyncClient, shop: Shop, worker: None) -> None:
    """Who expects the old one is told the new one."""
    lamp = await shop.product(price="24.50")
    changed = await api.patch(f"/api/products/{lamp}", json={"price": "27.00"})
    assert (changed.status_code, changed.json()["price"]) == (200, "27.00")
    stale = await order(api, shop, {lamp: 2}, expectedTotal="49.00")
    assert (stale.status_code, stale.json()["totalAmount"]) == (409, "54.00")
    assert (await order(api, shop, {lamp: 2}, expectedTotal="54.00")).status_code == 201


async def reserved(shop: Shop, product_id: str) -> int:
    async with shop.sessions() as session:
        return (await session.get_one(Stock, product_id)).reserved


async def bought_service(shop: Shop, order_id: str) -> str:
    """As what the carrier has sold the order's label."""
    login = (shop.settings.carrier_api_key.get_secret_value(), "")
    url = f"{shop.stack.urls.carrier}/v2/shipments/{await shop.shipment_id(order_id)}"
    shipment = (await shop.http.get(url, auth=login)).raise_for_status().json()
    return str(shipment["selected_rate"]["service"])
