"""Many checkouts at once, and a checkout in front of a slow carrier."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from domain.order_states import OrderStatus
from tests.support.orders import Shop
from tests.support.waiting import until

pytestmark = pytest.mark.slow


def order(customer_id: str, product_id: str, quantity: int = 1) -> dict[str, object]:
    items = [{"productId": product_id, "quantity": quantity}]
    return {"customerId": customer_id, "items": items, "paymentMethod": "pm_card_visa"}


async def test_answers_the_checkout_while_the_carrier_is_still_thinking(
    api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """A carrier that takes 3 s does not hold the customer's answer back: at the answer no label exists yet."""
    await shop.fault("carrier", "shipments.create", "slow", delay_seconds=3)
    answer = await api.post("/api/orders", json=order(await shop.customer(), await shop.product()))
    order_id = answer.json()["orderId"]
    assert (answer.status_code, answer.json()["status"]) == (201, "CONFIRMED")
    assert await shop.live_labels(order_id) == 0
    assert await shop.status(order_id) is OrderStatus.CONFIRMED
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)


async def answered(api: httpx.AsyncClient, body: dict[str, object], key: str) -> httpx.Response:
    """The answer that a patient client gets, who sends the same request again when it is told to (503, 202)."""
    while True:
        answer = await api.post("/api/orders", json=body, headers={"Idempotency-Key": key})
        if answer.status_code not in (202, 503):
            return answer
        await asyncio.sleep(0.2)


async def test_50_checkouts_at_once_for_the_last_10_pieces_sell_exactly_10(
    api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """Ten customers get a piece and pay for it, forty hear that it is sold out, and nobody else is charged."""
    product, customer = await shop.product(on_hand=10), await shop.customer()
    body = order(customer, product)
    answers = await asyncio.gather(*(answered(api, body, f"rush-{number}") for number in range(50)))
    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 40}
    won = [answer.json()["orderId"] for answer in answers if answer.status_code == 201]
    lost = [answer.json()["orderId"] for answer in answers if answer.status_code == 409]
    for order_id in won:
        await until(lambda order_id=order_id: shop.status(order_id), OrderStatus.READY_TO_SHIP)  # type: ignore[misc]
    books = await shop.books(won[0])
    assert (books.on_hand, books.reserved) == (10, 10)
    assert [await shop.money(order_id) for order_id in won] == [(0, 1000)] * 10
    assert sum([await shop.authorizations(order_id) for order_id in lost]) == 0
