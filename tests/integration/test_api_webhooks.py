"""Webhooks: proven, stored once, answered at once, followed up by a look at the current state; nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from adapters.columns import now
from adapters.database import Sessions
from adapters.saga_tables import InboxEvent, Payment, ShipmentRow
from adapters.settings import Settings
from adapters.temporal import workflow_id
from api.app import create_app
from api.inbox import BATCH, Inbox
from domain.order_states import OrderStatus
from tests.orders import Shop
from tests.waiting import until

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]
LONG_AGO = timedelta(minutes=5)


class Hooks:
    """Sends webhooks as Stripe and the carrier would, and looks into the inbox."""

    def __init__(self, api: httpx.AsyncClient, settings: Settings, sessions: Sessions) -> None:
        self._api, self._settings, self._sessions = api, settings, sessions

    async def stripe(
        self,
        payment_intent_id: str,
        *,
        kind: str = "payment_intent.amount_capturable_updated",
        event_id: str | None = None,
    ) -> httpx.Response:
        about = {"object": "payment_intent", "id": payment_intent_id, "status": "whatever it was"}
        return await self.stripe_event(
            {"id": event_id or f"evt_{secrets.token_hex(8)}", "type": kind, "data": {"object": about}}
        )

    async def stripe_event(self, event: dict[str, Any]) -> httpx.Response:
        raw = json.dumps({"object": "event", "api_version": stripe.api_version, **event})
        return await self._api.post(
            "/webhooks/stripe",
            content=raw,
            headers={"Stripe-Signature": sign_stripe(raw, self._settings.stripe_webhook_secret)},
        )

    async def carrier(self, shipment_id: str, *, event_id: str | None = None) -> httpx.Response:
        result = {"shipment_id": shipment_id, "tracking_code": "X", "status": "whatever it was"}
        event_id = event_id or f"evt_{secrets.token_hex(8)}"
        raw = json.dumps({"id": event_id, "description": "tracker.updated", "result": result})
        return await self._api.post(
            "/webhooks/carrier",
            content=raw,
            headers={"X-Hmac-Signature": sign_carrier(raw, self._settings.carrier_webhook_secret)},
        )

    async def row(self, source: str, event_id: str) -> InboxEvent | None:
        async with self._sessions() as session:
            return await session.get(InboxEvent, (source, event_id))

    async def processed(self, answer: httpx.Response, source: str = "stripe") -> InboxEvent:
        """The inbox row of an answered event, once it is processed."""
        assert answer.status_code == 202, answer.text
        event_id = answer.json()["eventId"]

        async def done() -> bool:
            row = await self.row(source, event_id)
            return row is not None and row.processed_at is not None

        await until(done, True)
        row = await self.row(source, event_id)
        assert row is not None
        return row

    async def leave_behind(self, source: str, object_id: str, attempted_at: datetime | None = None) -> str:
        """An event that a process stored and then crashed."""
        event_id = f"evt_{secrets.token_hex(8)}"
        at = attempted_at or now() - LONG_AGO
        row = InboxEvent(
            source=source, event_id=event_id, type="x", object_id=object_id, received_at=at, attempted_at=at
        )
        async with self._sessions() as session, session.begin():
            session.add(row)
        return event_id


def sign_stripe(raw: str, secret: SecretStr, at: float | None = None) -> str:
    signed_at = int(time.time() if at is None else at)
    payload = f"{signed_at}.{raw}".encode()
    digest = hmac.new(secret.get_secret_value().encode(), payload, hashlib.sha256).hexdigest()
    return f"t={signed_at},v1={digest}"


def sign_carrier(raw: str, secret: SecretStr) -> str:
    digest = hmac.new(secret.get_secret_value().encode(), raw.encode(), hashlib.sha256).hexdigest()
    return f"hmac-sha256-hex={digest}"


@pytest.fixture
def hooks(api: httpx.AsyncClient, settings: Settings, sessions: Sessions) -> Hooks:
    return Hooks(api, settings, sessions)


@pytest.fixture
def place(
    api: httpx.AsyncClient, new_product: NewProduct, new_customer: NewCustomer, worker: None
) -> Callable[..., Awaitable[str]]:
    async def placed(card: str = "pm_card_visa", **options: Any) -> str:
        items = [{"productId": await new_product(), "quantity": 1}]
        body = {"customerId": await new_customer(), "items": items, "paymentMethod": card, **options}
        return str((await api.post("/api/orders", json=body)).json()["orderId"])

    return placed


async def payment_of(sessions: Sessions, order_id: str) -> str:
    async with sessions() as session:
        query = select(Payment.payment_intent_id).where(Payment.order_id == order_id)
        return (await session.exec(query)).one()


async def shipment_of(sessions: Sessions, order_id: str) -> str:
    async with sessions() as session:
        return (await session.get_one(ShipmentRow, order_id)).shipment_id


async def signals(client: Client, order_id: str) -> list[str]:
    history = await client.get_workflow_handle(workflow_id(order_id)).fetch_history()
    return [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]


async def test_confirms_the_order_when_the_customer_has_acted(
    hooks: Hooks, shop: Shop, sessions: Sessions, place: Callable[..., Awaitable[str]], temporal_client: Client
) -> None:
    """3-D Secure: the event makes the workflow look at the payment, which is what confirms the order."""
    order_id = await place("pm_card_authenticationRequired")
    payment = await payment_of(sessions, order_id)
    url = f"{shop.stack.urls.stripe}/_control/payment_intents/{payment}/authenticate"
    (await shop.http.post(url, json={"succeed": True})).raise_for_status()

    row = await hooks.processed(await hooks.stripe(payment))

    assert row.last_error is None
    assert row.object_id == payment
    assert "payment_changed" in await signals(temporal_client, order_id)

    async def confirmed() -> bool:
        return any(entry.to_status == OrderStatus.CONFIRMED for entry in await shop.timeline(order_id))

    await until(confirmed, True)


async def test_follows_the_parcel(
    hooks: Hooks, shop: Shop, sessions: Sessions, place: Callable[..., Awaitable[str]]
) -> None:
    """The first scan ships the order, the last one delivers it."""
    order_id = await place()
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    shipment_id = await shipment_of(sessions, order_id)

    await shop.parcel(order_id, "in_transit")
    await hooks.processed(await hooks.carrier(shipment_id), "carrier")
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await shop.parcel(order_id, "delivered")
    await hooks.processed(await hooks.carrier(shipment_id), "carrier")
    await until(lambda: shop.status(order_id), OrderStatus.DELIVERED)


async def test_sends_no_signal_that_tells_nothing_new(
    hooks: Hooks,
    shop: Shop,
    sessions: Sessions,
    place: Callable[..., Awaitable[str]],
    temporal_client: Client,
) -> None:
    """Most events tell what a step of ours has just done: they cost the engine nothing."""
    order_id = await place()
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)

    await hooks.processed(await hooks.stripe(await payment_of(sessions, order_id)))
    await hooks.processed(await hooks.carrier(await shipment_of(sessions, order_id)), "carrier")

    assert await signals(temporal_client, order_id) == []


async def test_does_not_believe_what_an_event_says(
    hooks: Hooks,
    shop: Shop,
    sessions: Sessions,
    place: Callable[..., Awaitable[str]],
    temporal_client: Client,
) -> None:
    """Even with a good signature: an old or wrong event changes nothing, since the current state is retrieved."""
    order_id = await place("pm_card_authenticationRequired")
    payment = await payment_of(sessions, order_id)

    await hooks.processed(await hooks.stripe(payment, kind="payment_intent.succeeded"))

    assert await signals(temporal_client, order_id) == []
    assert await shop.status(order_id) is OrderStatus.AWAITING_CUSTOMER


async def test_takes_an_event_for_an_order_that_is_over(
    hooks: Hooks, shop: Shop, sessions: Sessions, place: Callable[..., Awaitable[str]]
) -> None:
    """Nobody is there to be told, which is no error."""
    order_id = await place("pm_card_chargeDeclined")
    assert await shop.status(order_id) is OrderStatus.REJECTED
    payment = await payment_of(sessions, order_id)
    async with sessions() as session, session.begin():
        (await session.get_one(Payment, payment)).state = "authorized"

    row = await hooks.processed(await hooks.stripe(payment))

    assert row.last_error is None


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
        lambda secret: sign_stripe(BODY, SecretStr("whsec_wrong")),
        lambda secret: sign_stripe(BODY + " ", secret),
        lambda secret: sign_stripe(BODY, secret, at=time.time() - 301),
        lambda secret: sign_stripe(BODY, secret, at=time.time() + 400),
    ],
    ids=["none", "empty", "no digest", "no time", "not ASCII", "wrong secret", "other body", "too old", "future"],
)
async def test_refuses_a_bad_stripe_signature(
    api: httpx.AsyncClient, settings: Settings, sessions: Sessions, forge: Callable[[SecretStr], str | None]
) -> None:
    """400, and nothing is stored."""
    header = forge(settings.stripe_webhook_secret)
    headers = {} if header is None else {"Stripe-Signature": header.encode()}

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
    headers = {} if header is None else {"X-Hmac-Signature": header.encode()}

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


async def test_sweeps_up_what_a_crash_left_behind(
    settings: Settings, hooks: Hooks, shop: Shop, sessions: Sessions, place: Callable[..., Awaitable[str]]
) -> None:
    """The lifespan's sweeper finds the event, and the order ships."""
    order_id = await place()
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order_id, "in_transit")
    await hooks.leave_behind("carrier", await shipment_of(sessions, order_id))
    app = create_app(settings.model_copy(update={"sweep_interval": 0.1}))

    async with app.router.lifespan_context(app):
        await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)


async def test_keeps_an_event_until_the_far_end_is_back(
    settings: Settings, hooks: Hooks, shop: Shop, sessions: Sessions, engine: AsyncEngine, app: FastAPI,
    place: Callable[..., Awaitable[str]],
) -> None:  # fmt: skip
    """While Stripe is away the event stays unprocessed, with the last error; later the sweep settles it."""
    payment = await payment_of(sessions, await place())
    cut_off = create_app(settings.model_copy(update={"stripe_api_base": "http://127.0.0.1:9"}))
    async with cut_off.router.lifespan_context(cut_off):
        transport = httpx.ASGITransport(cut_off)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            answer = await Hooks(client, settings, sessions).stripe(payment)
        event_id = answer.json()["eventId"]

        async def failed() -> bool:
            row = await hooks.row("stripe", event_id)
            return row is not None and row.last_error is not None

        await until(failed, True)
    row = await hooks.row("stripe", event_id)
    assert row is not None
    assert row.processed_at is None
    async with engine.begin() as connection:
        statement = update(InboxEvent).where(col(InboxEvent.event_id) == event_id)
        await connection.execute(statement.values(attempted_at=now() - LONG_AGO))

    while await app.state.services.inbox.sweep():
        pass

    row = await hooks.row("stripe", event_id)
    assert row is not None
    assert row.processed_at is not None
    assert row.last_error is None


async def test_sweepers_of_several_processes_share_the_work(hooks: Hooks, engine: AsyncEngine) -> None:
    """Each event is taken by one of them, and one that somebody has just taken on is left alone."""
    left = {await hooks.leave_behind("several", f"obj_{number}") for number in range(30)}
    fresh = await hooks.leave_behind("several", "obj_fresh", attempted_at=now())
    poked: list[str] = []

    async def poke(object_id: str) -> None:
        poked.append(object_id)
        await asyncio.sleep(0.01)

    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    sweepers = [Inbox(autocommit, {"several": poke}) for _ in range(4)]

    taken = await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))

    assert sum(taken) == len(left) <= BATCH
    assert sorted(poked) == sorted(f"obj_{number}" for number in range(30))
    unprocessed = await hooks.row("several", fresh)
    assert unprocessed is not None
    assert unprocessed.processed_at is None
