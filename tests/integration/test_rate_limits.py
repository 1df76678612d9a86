"""Limits over HTTP: who asks too often is told so, and what is refused has not happened."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from api.app import create_app
from domain.identities import Role
from domain.rate_limits import Limit, Rate
from services.limits.buckets import Bucket, BucketRows
from tests.support.identities import Anybody
from tests.support.orders import Shop

DECLINED = "pm_card_visa_chargeDeclined"


@asynccontextmanager
async def limited(settings: Settings, **limits: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API with these limits: the shop's program, with a name of its own."""
    app = create_app(settings.model_copy(update={"limit_failed_logins": "1000/min", **limits}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(secrets.token_hex(4), 1))
        who = Anybody(subject=secrets.token_hex(4))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test", auth=who) as client:
            yield client


def as_customer(customer_id: str) -> Anybody:
    return Anybody(Role.CUSTOMER, subject=secrets.token_hex(4), customer_id=customer_id)


async def body(shop: Shop, customer_id: str, card: str = DECLINED) -> dict[str, object]:
    items = [{"productId": await shop.product(), "quantity": 1}]
    return {"customerId": customer_id, "items": items, "paymentMethod": card}


async def test_a_customer_who_reads_too_often_is_told_when_to_come_again(settings: Settings) -> None:
    async with limited(settings, limit_reads="3/h") as api:
        api.auth = as_customer("c-1")
        answers = [await api.get("/api/products") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"3"}
        refused = answers[-1]
        assert (refused.json()["code"], refused.headers["Retry-After"]) == ("too_many_requests", "1200")
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert (await api.get("/healthz")).status_code == 200
        assert (await api.get("/api/products", auth=as_customer("c-2"))).status_code == 200


async def test_after_five_declined_cards_the_sixth_order_is_not_taken(
    settings: Settings, shop: Shop, worker: None
) -> None:
    """By the shop's program: one customer, whatever the address. A repeat still gets its first answer."""
    customer = await shop.customer()
    async with limited(settings, limit_declines="5/h") as api:
        wanted = await body(shop, customer)
        first = [await api.post("/api/orders", json=wanted, headers={"Idempotency-Key": "k"}) for _ in range(3)]
        assert {(one.status_code, one.json()["orderId"]) for one in first} == {(402, first[0].json()["orderId"])}
        for _ in range(4):
            assert (await api.post("/api/orders", json=wanted)).status_code == 402
        refused = await api.post("/api/orders", json=wanted | {"paymentMethod": "pm_card_visa"})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_declines")
        assert int(refused.headers["Retry-After"]) > 60
        repeated = await api.post("/api/orders", json=wanted, headers={"Idempotency-Key": "k"})
        assert repeated.status_code == 402
        other = await body(shop, await shop.customer(), "pm_card_visa")
        assert (await api.post("/api/orders", json=other)).status_code == 201


async def test_cards_of_many_customers_from_one_address_count_together(
    settings: Settings, shop: Shop, worker: None
) -> None:
    async with limited(settings, limit_declines="2/h") as api:
        for _ in range(2):
            customer = await shop.customer()
            answer = await api.post("/api/orders", json=await body(shop, customer), auth=as_customer(customer))
            assert answer.status_code == 402
        customer = await shop.customer()
        refused = await api.post("/api/orders", json=await body(shop, customer), auth=as_customer(customer))
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_declines")


async def test_cancels_of_one_order_are_limited(settings: Settings, shop: Shop) -> None:
    """Beyond the limit nothing reaches its workflow, and nothing is written."""
    order = await shop.put(await shop.product())
    async with limited(settings.model_copy(update={"checkout_budget": 0.2}), limit_cancels="1/h") as api:
        first = await api.post(f"/api/orders/{order.order_id}/cancel", auth=as_customer("somebody-else"))
        assert first.status_code == 404  # and does not count
        second = await api.post(f"/api/orders/{order.order_id}/cancel")
        assert second.status_code == 202
        third = await api.post(f"/api/orders/{order.order_id}/cancel")
        assert (third.status_code, third.json()["code"]) == (429, "too_many_cancels")


async def test_failed_logins_from_one_address_are_limited(settings: Settings) -> None:
    """And who is known goes on behind the same address."""
    async with limited(settings, limit_failed_logins="2/h") as api:
        guess = {"Authorization": "Bearer os_guess"}
        answers = [await api.get("/api/products", headers=guess) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
        assert answers[-1].json()["code"] == "too_many_failed_logins"
        assert (await api.get("/api/products")).status_code == 200


async def test_forwarded_addresses_are_believed_from_named_proxies_only(settings: Settings) -> None:
    for proxies, codes in (((), [401, 429]), (("127.0.0.1",), [401, 401])):
        own = {"service_secret": SecretStr(secrets.token_hex(32))}  # or other tests' address would be used up
        chosen = settings.model_copy(update={"trusted_proxies": proxies, "limit_failed_logins": "1/h", **own})
        app = create_app(chosen)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
                forwarded = [{"X-Forwarded-For": secrets.token_hex(8)} for _ in range(2)]
                answers = [await client.get("/api/products", headers=one) for one in forwarded]
                assert [answer.status_code for answer in answers] == codes


async def test_where_the_limiter_fails_reads_go_on_and_changes_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    async def broken(self: BucketRows, kind: Limit, key: str, rate: Rate, turns: int) -> Bucket:
        raise RuntimeError

    monkeypatch.setattr(BucketRows, "take", broken)
    async with limited(settings) as api:
        assert (await api.get("/api/products")).status_code == 200
        refused = await api.post("/api/orders", json=await body(shop, await shop.customer()))
        assert (refused.status_code, refused.json()["code"]) == (503, "limits_away")
        assert refused.headers["Retry-After"]
        unsigned = await api.post("/webhooks/stripe", content=b"{}")
        assert unsigned.json()["code"] == "bad_signature"


async def test_the_table_says_nothing_of_anybody(settings: Settings, engine: AsyncEngine) -> None:
    async with limited(settings) as api:
        api.auth = Anybody(subject="a-recognisable-name")
        await api.get("/api/products")
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT rate_limits::text FROM rate_limits"))).scalars().all()
    assert rows
    assert not [row for row in rows if "recognisable" in row]
