"""What follows a webhook: a look at the current state, a signal only for news; and no event is lost."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from domain.order_states import OrderStatus
from domain.webhooks import Arrived
from events.inbox import BATCH, Inbox
from relay import build_relay
from services.inbox.arrivals import Arrivals
from services.inbox.claims import Claims
from services.inbox.tables import InboxEvent
from services.payments.tables import Payment
from services.shipping.tables import ShipmentRow
from tests.support.orders import Shop
from tests.support.waiting import until
from tests.support.webhooks import LONG_AGO, Hooks, swept

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]


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


async def test_finds_what_nobody_was_notified_of(
    hooks: Hooks, shop: Shop, sessions: Sessions, place: Callable[..., Awaitable[str]]
) -> None:
    """A process crashed, or its notification was lost: the relay looks by itself, and the order ships."""
    order_id = await place()
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order_id, "in_transit")
    await hooks.leave_behind("carrier", await shipment_of(sessions, order_id))

    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)


async def test_keeps_an_event_until_the_far_end_is_back(
    settings: Settings, api: httpx.AsyncClient, sessions: Sessions, engine: AsyncEngine, own_inbox: None,
    place: Callable[..., Awaitable[str]],
) -> None:  # fmt: skip
    """While Stripe is away the event stays unprocessed, with the last error; later it is followed up."""
    hooks = Hooks(api, settings, sessions)
    payment = await payment_of(sessions, await place())
    event_id = (await hooks.stripe(payment)).json()["eventId"]
    async with build_relay(settings.model_copy(update={"stripe_api_base": "http://127.0.0.1:9"})) as cut_off:
        assert await swept(cut_off.inbox) == 1
    row = await hooks.row("stripe", event_id)
    assert row is not None
    assert row.processed_at is None
    assert row.last_error is not None
    async with engine.begin() as connection:
        statement = update(InboxEvent).where(col(InboxEvent.event_id) == event_id)
        await connection.execute(statement.values(attempted_at=now() - LONG_AGO))

    async with build_relay(settings) as parts:
        assert await swept(parts.inbox) == 1

    row = await hooks.row("stripe", event_id)
    assert row is not None
    assert row.processed_at is not None
    assert row.last_error is None


class Looks:
    """Notes what it was asked to look at."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def is_urgent(self, object_id: str) -> bool:
        return False

    async def look(self, object_id: str) -> None:
        self.seen.append(object_id)
        await asyncio.sleep(0.01)


def autocommit(engine: AsyncEngine) -> AsyncEngine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


async def test_looks_once_for_events_that_come_together(engine: AsyncEngine, own_inbox: None) -> None:
    """Stripe sends several events for one step of ours: one look settles them all."""
    looks, arrivals = Looks(), Arrivals(autocommit(engine))
    inbox = Inbox(Claims(autocommit(engine)), {"together": looks}, lambda *event: followed_up.append(event))
    followed_up: list[tuple[str, float]] = []

    for _ in range(5):
        await arrivals.take_in(Arrived("together", f"evt_{secrets.token_hex(8)}", "x", "obj_same"))
        assert await inbox.take() == 1
    await inbox.drain(60)

    assert [source for source, _ in followed_up] == ["together"] * 5
    assert looks.seen == ["obj_same"]


async def test_several_processes_share_the_work(hooks: Hooks, engine: AsyncEngine, own_inbox: None) -> None:
    """Each event is taken by one of them, and one that somebody has just taken on is left alone."""
    left = {await hooks.leave_behind("several", f"obj_{number}") for number in range(30)}
    fresh = await hooks.leave_behind("several", "obj_fresh", attempted_at=now())
    looks = Looks()
    inboxes = [Inbox(Claims(autocommit(engine)), {"several": looks}) for _ in range(4)]

    taken = await asyncio.gather(*(swept(inbox) for inbox in inboxes))

    assert sum(taken) == len(left) <= BATCH
    assert sorted(looks.seen) == sorted(f"obj_{number}" for number in range(30))
    unprocessed = await hooks.row("several", fresh)
    assert unprocessed is not None
    assert unprocessed.processed_at is None
