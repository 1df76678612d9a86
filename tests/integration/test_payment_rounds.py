"""Another card after a decline: the next round on the same PaymentIntent, as long as the shop allows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from domain.commands import AuthorizationState, PaymentTry
from domain.errors import PaymentDeclined, TryAgain
from services.identities.actors import Actors
from services.payments.tables import Payment, PaymentAttempt
from tests.support.orders import Shop
from tests.support.steps import Steps
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

WINDOW = timedelta(hours=1)
DECLINED, GOOD, STOLEN = "pm_card_chargeDeclined", "pm_card_mastercard", "pm_card_visa_chargeDeclinedStolenCard"
FAULTS = ["before_effect", "after_effect_drop", "error_500_saved", "error_500_unsaved", "rate_limit_429"]

CheckOut = Callable[[str], Awaitable[httpx.Response]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A shop that lets a declined customer try again."""
    return settings.model_copy(update={"payment_retry_window": WINDOW})


@pytest.fixture
async def check_out(api: httpx.AsyncClient, shop: Shop) -> CheckOut:
    product, customer = await shop.product(), await shop.customer()

    async def send(method: str) -> httpx.Response:
        body = {"customerId": customer, "items": [{"productId": product, "quantity": 2}], "paymentMethod": method}
        return await api.post("/api/orders", json=body)

    return send


async def offer(api: httpx.AsyncClient, order_id: str, method: str) -> httpx.Response:
    return await api.post(f"/api/orders/{order_id}/payment", json={"paymentMethod": method})


async def keys(sessions: Sessions, order_id: str) -> list[str]:
    """Operation and business attempt of every call that was saved."""
    async with sessions() as session:
        rows = await session.exec(select(PaymentAttempt).where(PaymentAttempt.order_id == order_id))
        return sorted(f"{row.operation}:{row.attempt}" for row in rows)


async def test_a_declined_customer_pays_with_another_card(
    check_out: CheckOut, api: httpx.AsyncClient, shop: Shop, sessions: Sessions, worker: None
) -> None:
    """402 with `retryUntil`; the next card is confirmed on the same PaymentIntent, and charged once."""
    declined = await check_out(DECLINED)
    problem = declined.json()
    assert (declined.status_code, problem["orderStatus"]) == (402, "AWAITING_CUSTOMER")
    assert abs(datetime.fromisoformat(problem["retryUntil"]) - now() - WINDOW) < timedelta(minutes=5)
    order_id = problem["orderId"]
    paid = await offer(api, order_id, GOOD)
    assert (paid.status_code, paid.json()["status"]) == (200, "CONFIRMED")
    assert "refusal" not in paid.json()
    await until(lambda: shop.status(order_id), "READY_TO_SHIP")
    assert await shop.money(order_id) == (0, 2000)
    assert await keys(sessions, order_id) == ["capture:1", "confirm:1", "confirm:2", "create:1"]


async def test_a_second_decline_leaves_the_time_as_it_is(
    check_out: CheckOut, api: httpx.AsyncClient, sessions: Sessions, worker: None
) -> None:
    """The window is the shop's, counted from the checkout; every card's decline is told by its own words."""
    first = (await check_out(DECLINED)).json()
    second = await offer(api, first["orderId"], "pm_card_chargeDeclinedInsufficientFunds")
    assert second.status_code == 402
    assert second.json()["retryUntil"] == first["retryUntil"]
    assert second.json()["type"].endswith("insufficient-funds")
    async with sessions() as session:
        query = select(Payment).where(Payment.order_id == first["orderId"])
        assert len((await session.exec(query)).all()) == 1


async def test_the_other_card_may_ask_for_3d_secure(
    check_out: CheckOut, api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """202 with the client secret, as at a checkout."""
    order_id = (await check_out(DECLINED)).json()["orderId"]
    answer = await offer(api, order_id, "pm_card_authenticationRequired")
    assert answer.status_code == 202
    assert answer.json()["clientSecret"].startswith("pi_")
    again = await offer(api, order_id, GOOD)
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "no-payment-awaited")


async def test_a_stolen_card_ends_it(check_out: CheckOut, shop: Shop, worker: None) -> None:
    """No other card is asked for, and the customer is not told why."""
    answer = await check_out(STOLEN)
    problem = answer.json()
    assert (answer.status_code, problem["orderStatus"], "retryUntil" in problem) == (402, "REJECTED", False)
    assert "stolen" not in problem["detail"]


async def test_a_cancel_ends_the_wait_for_another_card(
    check_out: CheckOut, api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """Everything is undone; a card that comes later is refused."""
    order_id = (await check_out(DECLINED)).json()["orderId"]
    assert (await api.post(f"/api/orders/{order_id}/cancel")).status_code == 202
    await until(lambda: shop.status(order_id), "CANCELED")
    late = await offer(api, order_id, GOOD)
    assert (late.status_code, late.json()["orderStatus"]) == (409, "CANCELED")
    assert (await shop.books(order_id)).reserved == 0


async def test_an_unusable_payment_method_is_a_decline(
    check_out: CheckOut, api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """A mistyped id costs one try, not the order."""
    order_id = (await check_out(DECLINED)).json()["orderId"]
    unusable = await offer(api, order_id, "pm_mistyped")
    assert (unusable.status_code, unusable.json()["code"]) == (402, "payment_method_unusable")
    assert "retryUntil" in unusable.json()
    assert (await offer(api, order_id, GOOD)).status_code == 200


async def test_an_unusable_payment_method_at_the_checkout_is_a_decline(check_out: CheckOut, worker: None) -> None:
    """Nothing was made at Stripe that another card could be tried on: 402, and the order is over."""
    answer = await check_out("pm_mistyped")
    assert (answer.status_code, answer.json()["orderStatus"]) == (402, "REJECTED")


async def test_a_card_that_the_shops_page_tried_by_itself_counts(
    check_out: CheckOut, api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """The page confirms the same PaymentIntent with another card; the webhook's news moves the order on."""
    order_id = (await check_out(DECLINED)).json()["orderId"]
    intent = await shop.payment_intent(order_id)
    await shop.at_stripe("POST", f"payment_intents/{intent['id']}/confirm", payment_method=GOOD)
    await shop.client.get_workflow_handle(f"order-{order_id}").signal(OrderFulfillment.payment_changed)
    await until(lambda: shop.status(order_id), "READY_TO_SHIP")
    assert await shop.money(order_id) == (0, 2000)


async def test_the_same_offer_again_gets_the_same_answer(
    check_out: CheckOut, api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """With an Idempotency-Key, also when the order has gone on meanwhile; a new key has nothing to offer to."""
    order_id = (await check_out(DECLINED)).json()["orderId"]
    url, body = f"/api/orders/{order_id}/payment", {"paymentMethod": GOOD}
    first = await api.post(url, json=body, headers={"Idempotency-Key": "k1"})
    await until(lambda: shop.status(order_id), "READY_TO_SHIP")
    again = await api.post(url, json=body, headers={"Idempotency-Key": "k1"})
    other = await api.post(url, json=body, headers={"Idempotency-Key": "k2"})
    assert [answer.status_code for answer in (first, again, other)] == [200, 200, 409]


async def test_twenty_cards_at_once_charge_one(
    check_out: CheckOut, api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """One is tried, the others are told so; the money is held once."""
    order_id = (await check_out(DECLINED)).json()["orderId"]
    answers = await asyncio.gather(*(offer(api, order_id, GOOD) for _ in range(20)))
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) >= 1
    assert set(codes) <= {200, 409}
    await until(lambda: shop.status(order_id), "READY_TO_SHIP")
    assert await shop.authorizations(order_id) == 1


@pytest.mark.parametrize("body", [{}, {"paymentMethod": "4242424242424242"}, {"paymentMethod": 1}])
async def test_names_a_bad_payment_method(api: httpx.AsyncClient, shop: Shop, body: dict[str, Any]) -> None:
    """A card number in particular is refused before it is written down anywhere."""
    order = await shop.put(await shop.product())
    answer = await api.post(f"/api/orders/{order.order_id}/payment", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "paymentMethod"
    assert "4242" not in answer.text


async def test_an_unknown_order_waits_for_nothing(api: httpx.AsyncClient) -> None:
    assert (await offer(api, "0" * 32, GOOD)).status_code == 404


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_unknown_outcome_of_another_card_charges_once(
    shop: Shop, steps: Steps, settings: Settings, fault: str
) -> None:
    """Whatever Stripe did or said to the second card, the next attempts end with one authorization."""
    order = await shop.put(await shop.product(), payment_method=DECLINED)
    first = PaymentTry(order_id=order.order_id, retry_until=now() + WINDOW)
    await steps.run("reserve_inventory", order.order_id)
    declined = await steps.run_with("authorize_payment", first)
    assert declined.state is AuthorizationState.DECLINED
    offered = Actors(settings.service_secret).offered(order.order_id, GOOD)
    second = first.model_copy(update=offered.model_dump() | {"round": 2})
    await shop.fault("stripe", "payment_intents.confirm", fault)
    with pytest.raises(TryAgain):
        await steps.run_with("authorize_payment", second)
    for attempt in range(1, 7):
        try:
            answer = await steps.run_with("authorize_payment", second, attempt=attempt)
        except TryAgain:
            continue
        break
    assert (answer.state, answer.round) == (AuthorizationState.AUTHORIZED, 2)
    assert await steps.effects("stripe", order.order_id) == ["authorize"]
    late = await steps.run_with("authorize_payment", first)
    assert late.round == 2, "a late attempt of the first card learns what the second one did"


async def test_without_a_window_a_decline_is_the_end(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """The fence keeps the refusal: no attempt of the same round asks the bank again."""
    order = await shop.put(await shop.product(), payment_method=DECLINED)
    await steps.run("reserve_inventory", order.order_id)
    for _ in range(2):
        with pytest.raises(PaymentDeclined, match="declined"):
            await steps.run("authorize_payment", order.order_id)
    async with sessions() as session:
        query = select(col(PaymentAttempt.operation)).where(PaymentAttempt.order_id == order.order_id)
        assert sorted(await session.exec(query)) == ["confirm", "create"]
