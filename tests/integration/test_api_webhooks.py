"""Webhooks at the door: proven, checked, stored once and answered at once."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlmodel import select

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from services.inbox.tables import InboxEvent
from tests.support.webhooks import Hooks, sign_carrier, sign_stripe

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]


async def test_stores_an_event_once(hooks: Hooks, sessions: Sessions) -> None:
    """Ten deliveries of one event at once: one row, each delivery answered."""
    event_id = f"evt_{secrets.token_hex(8)}"

    answers = await asyncio.gather(*(hooks.stripe("pi_unknown", event_id=event_id) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["duplicate"] for answer in answers) == [False] + [True] * 9
    async with sessions() as session:
        assert len((await session.exec(select(InboxEvent).where(InboxEvent.event_id == event_id))).all()) == 1


async def test_settles_an_event_about_what_does_not_exist(hooks: Hooks) -> None:
    """Asking Stripe again would not help: the event is done, with a note why."""
    row = await hooks.processed(await hooks.stripe("pi_unknown"))

    assert row.last_error is not None
    assert "resource_missing" in row.last_error


@pytest.mark.parametrize(
    ("about", "object_id"),
    [
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_unknown"}, "pi_unknown"),
        ({"object": "dispute", "id": "dp_1", "payment_intent": {"id": "pi_unknown"}}, "pi_unknown"),
        ({"object": "charge", "id": "ch_1", "payment_intent": None}, ""),
        ({"object": "customer", "id": "cus_1"}, ""),
        ({"object": "balance"}, ""),
    ],
    ids=repr,
)
async def test_finds_the_payment_of_an_event(hooks: Hooks, about: dict[str, Any], object_id: str) -> None:
    """Directly or by reference; an event about no payment is stored and done."""
    event = {"id": f"evt_{secrets.token_hex(8)}", "type": "some.event", "data": {"object": about}}

    row = await hooks.processed(await hooks.stripe_event(event))

    assert row.object_id == object_id


BODY = json.dumps({"id": "evt_1", "type": "a.b", "data": {"object": {"object": "charge"}}})


@pytest.mark.parametrize(
    "forge",
    [
        lambda secret: None,
        lambda secret: "",
        lambda secret: "t=1",
        lambda secret: "t=x,v1=00",
        lambda secret: "v1=ü",
        lambda secret: f"t={int(time.time())},v1=é",
        lambda secret: sign_stripe(BODY, SecretStr("whsec_wrong")),
        lambda secret: sign_stripe(BODY + " ", secret),
        lambda secret: sign_stripe(BODY, secret, at=time.time() - 301),
        lambda secret: sign_stripe(BODY, secret, at=time.time() + 400),
    ],
    ids=[
        "none",
        "empty",
        "no digest",
        "no time",
        "not ASCII",
        "not ASCII now",
        "wrong secret",
        "other body",
        "too old",
        "future",
    ],
)
async def test_refuses_a_bad_stripe_signature(
    api: httpx.AsyncClient, settings: Settings, sessions: Sessions, forge: Callable[[SecretStr], str | None]
) -> None:
    """400, and nothing is stored."""
    header = forge(settings.stripe_webhook_secret)
    headers = [] if header is None else [(b"Stripe-Signature", header.encode())]

    answer = await api.post("/webhooks/stripe", content=BODY, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad-signature"
    async with sessions() as session:
        assert await session.get(InboxEvent, ("stripe", "evt_1")) is None


@pytest.mark.parametrize(
    "forge",
    [
        lambda secret: None,
        lambda secret: "",
        lambda secret: "hmac-sha256-hex=ü",
        lambda secret: sign_carrier(BODY, SecretStr("wrong")),
        lambda secret: sign_carrier(BODY + " ", secret),
        lambda secret: sign_carrier(BODY, secret).removeprefix("hmac-sha256-hex="),
    ],
    ids=["none", "empty", "not ASCII", "wrong secret", "other body", "no prefix"],
)
async def test_refuses_a_bad_carrier_signature(
    api: httpx.AsyncClient, settings: Settings, forge: Callable[[SecretStr], str | None]
) -> None:
    """400."""
    header = forge(settings.carrier_webhook_secret)
    headers = [] if header is None else [(b"X-Hmac-Signature", header.encode())]

    answer = await api.post("/webhooks/carrier", content=BODY, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad-signature"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("{", 400),
        ("[]", 422),
        ("{}", 422),
        ('{"id": "a b", "type": "x", "data": {"object": {"object": "charge"}}}', 422),
        ('{"id": "e", "type": "x", "data": {"object": {"object": "charge", "payment_intent": "pi/../x"}}}', 422),
        ('{"id": "e\\u0000", "type": "x", "data": {"object": {"object": "charge"}}}', 422),
        ('{"id": 1, "type": "x", "data": {"object": {"object": "charge"}}}', 422),
    ],
)
async def test_checks_signed_events_like_any_input(
    api: httpx.AsyncClient, settings: Settings, raw: str, status: int
) -> None:
    """A signature says who sent it, not that it is well-formed."""
    signature = sign_stripe(raw, settings.stripe_webhook_secret)

    answer = await api.post("/webhooks/stripe", content=raw, headers={"Stripe-Signature": signature})

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
