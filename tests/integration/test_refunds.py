"""Goodwill refunds over HTTP: given once, never above what was captured, and told in every book."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from adapters.settings import Settings
from api.app import create_app
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.refunds import RefundSteps, ask

NOWHERE = "127.0.0.1:1"


async def test_gives_a_part_of_the_money_back(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """201 with the refund; payment, timeline, event and Stripe's ledger all say the same."""
    order_id = await refunds.captured(to="record_delivered")
    answer = await ask(api, order_id)

    assert (answer.status_code, answer.headers["Location"][-11:]) == (201, "/refunds/k1")
    said = answer.json()
    assert said.pop("createdAt")
    assert said == {
        "orderId": order_id, "key": "k1", "amount": "5.00", "currency": "USD", "reason": "dented box",
        "by": "alice", "status": "succeeded",
    }  # fmt: skip
    payment = await refunds.payment(order_id)
    assert (payment.state, payment.refunded_minor, await refunds.given(order_id)) == ("captured", 500, 500)
    row = (await shop.timeline(order_id))[-1]
    assert (row.what, row.by, row.to_status) == ("refunded 5.00 USD: dented box", "alice", "DELIVERED")
    event = (await shop.events(order_id))[-1]
    assert (event.type, event.data["amount"]) == ("ordersaga.payment.refunded.v1", "5.00")
    assert event.data["paymentStatus"] == "PartiallyRefunded"


async def test_shows_what_was_refunded(api: httpx.AsyncClient, refunds: RefundSteps, worker: None) -> None:
    """The order tells the sum once there is one, the list and the single address tell each refund."""
    order_id = await refunds.captured()
    assert "refundedAmount" not in (await api.get(f"/api/orders/{order_id}")).json()
    await ask(api, order_id, 5, "first")
    await ask(api, order_id, 2.5, "second")

    order = (await api.get(f"/api/orders/{order_id}")).json()
    assert (order["refundedAmount"], order["paymentStatus"]) == ("7.50", "PartiallyRefunded")
    listed = (await api.get(f"/api/orders/{order_id}/refunds")).json()
    assert listed["orderId"] == order_id
    assert [(one["key"], one["amount"]) for one in listed["refunds"]] == [("first", "5.00"), ("second", "2.50")]
    assert (await api.get(f"/api/orders/{order_id}/refunds/second")).json() == listed["refunds"][1]
    missing = await api.get(f"/api/orders/{order_id}/refunds/third")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_refund")


async def test_is_refunded_when_everything_is_back(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """The last part makes the payment Refunded; after it nothing is left to give."""
    order_id = await refunds.captured()
    await ask(api, order_id, "19.99", "most")
    await ask(api, order_id, "0.01", "rest")

    assert (await shop.order(order_id)).payment_status == "Refunded"
    assert (await refunds.payment(order_id)).state == "refunded"
    none_left = await ask(api, order_id, "0.01", "more")
    assert (none_left.status_code, none_left.json()["refundableAmount"]) == (409, "0.00")


async def test_answers_a_repeat_with_the_same_refund(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """Same key, same body, however the amount was written: one refund, also for ten at once."""
    order_id = await refunds.captured()
    answers = await asyncio.gather(*(ask(api, order_id, amount) for amount in ["5.00", 5, "5", 5.0, "5.000"] * 2))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert await refunds.given(order_id) == 500


@pytest.mark.parametrize("other", [{"amount": "5.01"}, {"reason": "late"}, {"by": "bob"}], ids=str)
async def test_refuses_a_key_that_was_used_for_another_refund(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None, other: dict[str, str]
) -> None:
    """422, as for orders; nothing is given."""
    order_id = await refunds.captured()
    await ask(api, order_id)
    answer = await ask(api, order_id, **other)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await refunds.given(order_id) == 500


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 65, "a/b"], ids=repr)
async def test_needs_a_key_of_safe_characters(api: httpx.AsyncClient, shop: Shop, key: str | None) -> None:
    """400 that names the header: without a key a repeat would give twice."""
    answer = await ask(api, (await shop.put(await shop.product())).order_id, key=key)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("amount", ["0", "0.00", "-1", "1.001", "1e3", "NaN", True, None, "", "5.00 USD"], ids=repr)
async def test_refuses_what_is_no_amount(api: httpx.AsyncClient, refunds: RefundSteps, amount: object) -> None:
    """422 that names the field."""
    answer = await ask(api, await refunds.captured(), amount)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == "amount"


@pytest.mark.parametrize("field", ["reason", "amount"])
async def test_needs_every_field(api: httpx.AsyncClient, shop: Shop, field: str) -> None:
    """Why money was given away is never left out; who did it the token says."""
    body = {"amount": "5.00", "reason": "dented box", "by": "alice"}
    del body[field]
    order = await shop.put(await shop.product())
    answer = await api.post(f"/api/orders/{order.order_id}/refunds", json=body, headers={"Idempotency-Key": "k1"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_refuses_more_than_was_captured(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """409 with what can still be refunded; a refund that is under way counts as given."""
    order_id = await refunds.captured()
    await refunds.stripe_answers("pending")
    assert (await ask(api, order_id, "15.00", "first")).status_code == 202
    answer = await ask(api, order_id, "5.01", "second")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/refund-exceeds-captured")
    assert (answer.json()["refundableAmount"], answer.json()["currency"]) == ("5.00", "USD")
    assert len((await api.get(f"/api/orders/{order_id}/refunds")).json()["refunds"]) == 1


async def test_gives_never_more_than_captured_to_20_at_once(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """20 requests of 3.00 each for an order of 20.00: six are given, fourteen refused."""
    order_id = await refunds.captured()
    answers = await asyncio.gather(*(ask(api, order_id, "3.00", f"k{number}") for number in range(20)))

    assert sorted(answer.status_code for answer in answers) == [201] * 6 + [409] * 14
    assert await refunds.given(order_id) == (await refunds.payment(order_id)).refunded_minor == 1800


@pytest.mark.parametrize(
    ("price", "currency", "amount", "minor", "too_fine"),
    [
        ("1000", "JPY", "500", 500, "500.5"),
        ("1.500", "KWD", "0.250", 250, "0.2505"),
        ("10", "EUR", "0.01", 1, "0.001"),
    ],
)
async def test_is_exact_in_every_currency(
    api: httpx.AsyncClient,
    shop: Shop,
    refunds: RefundSteps,
    worker: None,
    price: str,
    currency: str,
    amount: str,
    minor: int,
    too_fine: str,
) -> None:
    """Minor units as Stripe counts them; decimals that the currency has not are refused."""
    order_id = await refunds.captured(price, currency)
    assert (await ask(api, order_id, too_fine, "fine")).status_code == 422
    answer = await ask(api, order_id, amount)

    assert (answer.status_code, answer.json()["amount"]) == (201, amount)
    assert await refunds.given(order_id) == minor
    assert (await api.get(f"/api/orders/{order_id}")).json()["refundedAmount"] == amount


async def test_refuses_orders_that_are_not_to_be_refunded(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps
) -> None:
    """409 with a named code: never captured, canceled, disputed; 404 for no order."""
    held = await refunds.captured(to="authorize_payment")
    disputed = await refunds.captured()
    await refunds.hold(disputed, "dispute")
    canceled = await refunds.captured()
    await refunds.cancel(canceled)
    cases = {held: "not_captured", disputed: "payment_disputed", canceled: "order_canceled"}

    for order_id, code in cases.items():
        answer = await ask(api, order_id)
        assert (answer.status_code, answer.json()["code"], answer.json()["orderId"]) == (409, code, order_id)
    assert (await ask(api, "0" * 32)).status_code == 404
    assert (await ask(api, "nonsense")).status_code == 404


async def test_keeps_a_refund_that_was_asked_for_while_the_engine_is_away(
    shop: Shop, refunds: RefundSteps, settings: Settings
) -> None:
    """202: it is stored, and the sweep starts it when the engine is back."""
    order_id = await refunds.captured()
    app = create_app(settings.model_copy(update={"temporal_address": NOWHERE, "checkout_budget": 2.0}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", auth=Anybody()) as api,
    ):
        answer = await ask(api, order_id)

    assert (answer.status_code, answer.json()["status"]) == (202, "asked")
