"""Echoes of our own steps on the real servers: recognized at the door or when they have settled; news never is."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from domain.echoes import Echo, of_parcel, of_payment
from domain.order_states import OrderStatus
from domain.webhooks import Arrived, Source
from events.inbox import FollowUp, Inbox
from services.inbox import arrivals
from services.inbox.arrivals import Arrivals
from services.inbox.claims import Claims
from services.inbox.tables import InboxEvent
from services.orders.tables import Order
from services.payments.tables import Payment
from services.refunds.tables import Refund
from services.shipping.tables import ShipmentRow
from tests.support.orders import Shop
from tests.support.waiting import until
from tests.support.webhooks import swept

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]


class Looks:
    """Notes what it was asked to look at."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def is_urgent(self, object_id: str) -> bool:
        return True

    async def look(self, object_id: str) -> None:
        self.seen.append(object_id)


class Door:
    """Takes events in and follows them up, with looks that are only noted."""

    def __init__(self, engine: AsyncEngine, sessions: Sessions) -> None:
        writes = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.arrivals, self.looks, self._sessions = Arrivals(writes), Looks(), sessions
        self.followed_up: list[str] = []
        follow_ups: dict[str, FollowUp] = {Source.STRIPE: self.looks, Source.CARRIER: self.looks}
        self.inbox = Inbox(Claims(writes), follow_ups, lambda source, _: self.followed_up.append(source))

    async def take_in(self, source: str, object_id: str, echo: Echo | None) -> InboxEvent:
        """The event's row as it was stored."""
        event = Arrived(source, f"evt_{secrets.token_hex(8)}", "x", object_id, echo)
        assert await self.arrivals.take_in(event)
        return await self.row(event)

    async def row(self, event: Arrived | InboxEvent) -> InboxEvent:
        async with self._sessions() as session:
            return await session.get_one(InboxEvent, (event.source, event.event_id))


@pytest.fixture
async def door(engine: AsyncEngine, sessions: Sessions, own_inbox: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(arrivals, "SETTLING", 0.05)
    door = Door(engine, sessions)
    yield door
    await door.arrivals.aclose()


@pytest.fixture
async def ready(
    api: httpx.AsyncClient, shop: Shop, new_product: NewProduct, new_customer: NewCustomer, worker: None
) -> str:
    """An order that is ready to ship."""
    items = [{"productId": await new_product(), "quantity": 1}]
    body = {"customerId": await new_customer(), "items": items, "paymentMethod": "pm_card_visa"}
    order_id = str((await api.post("/api/orders", json=body)).json()["orderId"])
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    return order_id


async def payment_of(sessions: Sessions, order_id: str) -> Payment:
    async with sessions() as session:
        return (await session.exec(select(Payment).where(Payment.order_id == order_id))).one()


def captured(payment: Payment, **said: Any) -> Echo:
    about = {
        "status": "succeeded",
        "amount": payment.amount_minor,
        "currency": payment.currency.lower(),
        "amount_received": payment.captured_minor,
        "amount_capturable": 0,
    }
    echo = of_payment("payment_intent.succeeded", about | said)
    assert echo is not None
    return echo


async def test_the_simulators_own_events_of_an_order_are_echoes(
    settings: Settings, shop: Shop, sessions: Sessions, door: Door, ready: str
) -> None:
    """As Stripe sends them, each with the object as it was then; nothing is looked at."""
    payment = await payment_of(sessions, ready)
    login = {"Authorization": f"Bearer {settings.stripe_api_key.get_secret_value()}"}
    listed = await shop.http.get(f"{shop.stack.urls.stripe}/v1/events", params={"limit": 100}, headers=login)
    events = [event for event in listed.json()["data"] if payment.payment_intent_id in str(event["data"])]
    assert {event["type"] for event in events} == {
        "payment_intent.created",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    }
    for event in events:
        echo = of_payment(event["type"], event["data"]["object"])
        row = await door.take_in("stripe", payment.payment_intent_id, echo)
        assert row.processed_at is not None, event["type"]
        assert row.says is None
    assert await swept(door.inbox) == 0
    assert door.looks.seen == []


@pytest.mark.parametrize(
    "said",
    [{"amount_received": 999_999}, {"amount": 999_999}, {"currency": "eur"}],
    ids=["another sum captured", "another amount", "another currency"],
)
async def test_an_amount_that_differs_is_looked_at(
    sessions: Sessions, door: Door, ready: str, said: dict[str, Any]
) -> None:
    """At once: no step of ours is at work any more that could be about to write it."""
    payment = await payment_of(sessions, ready)
    row = await door.take_in("stripe", payment.payment_intent_id, captured(payment, **said))
    assert row.processed_at is None
    await swept(door.inbox)
    assert door.looks.seen == [payment.payment_intent_id]


@pytest.mark.parametrize(
    "changed",
    [
        {"hold": "dispute"},
        {"needs_attention": True},
        {"waits_for": {"cause": "x"}},
    ],
    ids=repr,
)
async def test_about_an_order_that_a_person_or_a_hold_is_about_everything_is_looked_at(
    engine: AsyncEngine, sessions: Sessions, door: Door, ready: str, changed: dict[str, Any]
) -> None:
    payment = await payment_of(sessions, ready)
    async with engine.begin() as connection:
        await connection.execute(update(Order).where(col(Order.order_id) == ready).values(**changed))
    row = await door.take_in("stripe", payment.payment_intent_id, captured(payment))
    assert row.processed_at is None


async def test_a_payment_of_which_money_went_back_is_looked_at(sessions: Sessions, door: Door, ready: str) -> None:
    """Also while the refund is only asked for."""
    payment = await payment_of(sessions, ready)
    async with sessions() as session, session.begin():
        session.add(Refund(order_id=ready, key="k", amount_minor=1, by="x", state="asked"))
    row = await door.take_in("stripe", payment.payment_intent_id, captured(payment))
    assert row.processed_at is None


async def test_an_event_that_overtakes_our_own_step_is_an_echo_when_it_has_settled(
    engine: AsyncEngine, sessions: Sessions, door: Door, ready: str
) -> None:
    """It came before the step's commit: it waits, wakes the relay once, and ends without a look."""
    payment = await payment_of(sessions, ready)
    await _set_back(engine, ready, "CONFIRMED", "authorized", captured_minor=0)
    row = await door.take_in("stripe", payment.payment_intent_id, captured(payment))
    assert row.processed_at is None
    assert row.says is not None
    assert await swept(door.inbox) == 0, "it is left alone until it has settled"
    await _set_back(engine, ready, "READY_TO_SHIP", "captured", captured_minor=payment.captured_minor)

    await until(lambda: swept(door.inbox), 1)

    assert (await door.row(row)).processed_at is not None
    assert (door.looks.seen, door.followed_up) == ([], ["stripe"])


async def test_an_event_that_our_books_never_get_is_looked_at_when_it_has_settled(
    engine: AsyncEngine, sessions: Sessions, door: Door, ready: str
) -> None:
    """Somebody captured at Stripe's dashboard while the order was under way."""
    payment = await payment_of(sessions, ready)
    await _set_back(engine, ready, "CONFIRMED", "authorized", captured_minor=0)
    await door.take_in("stripe", payment.payment_intent_id, captured(payment))

    await until(lambda: swept(door.inbox), 1)

    assert door.looks.seen == [payment.payment_intent_id]


async def test_what_has_settled_wakes_the_relay_once_for_all(
    engine: AsyncEngine, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten events of payments that our books do not have yet."""
    woken: list[str] = []

    async def noted(connection: object, channel: str) -> None:
        woken.append(channel)

    monkeypatch.setattr(arrivals, "notify", noted)
    echo = of_payment("payment_intent.created", {"status": "requires_confirmation", "amount": 5, "currency": "usd",
                                                 "amount_received": 0, "amount_capturable": 0})  # fmt: skip
    began = time.monotonic()
    for number in range(10):
        await door.take_in("stripe", f"pi_{secrets.token_hex(4)}_{number}", echo)
    assert door.arrivals._waking is not None
    await asyncio.wait_for(door.arrivals._waking, 30)
    assert 1 <= len(woken) <= 2 + (time.monotonic() - began) / arrivals.SETTLING


async def test_the_label_that_we_have_bought_is_an_echo_and_the_first_scan_is_none(
    engine: AsyncEngine, sessions: Sessions, door: Door, ready: str
) -> None:
    async with sessions() as session:
        shipment = await session.get_one(ShipmentRow, ready)
    label = of_parcel("tracker.created", {"status": "pre_transit"})
    scan = of_parcel("tracker.updated", {"status": "in_transit"})
    async with engine.begin() as connection:
        known = update(ShipmentRow).where(col(ShipmentRow.order_id) == ready)
        await connection.execute(known.values(parcel_status="pre_transit"))
    assert (await door.take_in("carrier", shipment.shipment_id, label)).processed_at is not None
    assert (await door.take_in("carrier", shipment.shipment_id, scan)).processed_at is None
    async with engine.begin() as connection:
        await connection.execute(known.values(state="void_requested"))
    assert (await door.take_in("carrier", shipment.shipment_id, label)).processed_at is None
    await swept(door.inbox)
    assert door.looks.seen == [shipment.shipment_id]


async def _set_back(engine: AsyncEngine, order_id: str, status: str, state: str, *, captured_minor: int) -> None:
    """The rows as a step leaves them, without its timeline: the triggers that guard it are told to look away."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        await connection.execute(update(Order).where(col(Order.order_id) == order_id).values(status=status))
        row = update(Payment).where(col(Payment.order_id) == order_id)
        await connection.execute(row.values(state=state, captured_minor=captured_minor))
