"""Webhooks that were never delivered: listing Stripe's events finds them, and the inbox follows them up."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.order_states import OrderStatus
from domain.recovery import CatchUpEvents
from relay import build_relay
from services.inbox.tables import InboxEvent
from services.recovery import cursors
from tests.support.orders import Shop
from tests.support.own_stripe import with_stripe
from tests.support.waiting import until
from tests.support.webhooks import put_aside, swept
from workflows.reconciliation import StripeEvents

CURSOR = "stripe_events"


@pytest.fixture(scope="module")
async def own_stripe(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A simulator of this file's own: all events are listed, and other tests have made thousands."""
    async with Stack(tmp_path_factory.mktemp("stripe"), ephemeral=True, parts={"stripe"}, migrate=False) as stripe:
        yield stripe


@pytest.fixture
def settings(settings: Settings, stack: Stack, own_stripe: Stack) -> Settings:
    return with_stripe(stack, settings, own_stripe)[1]


@pytest.fixture
def shop(shop: Shop, stack: Stack, settings: Settings, own_stripe: Stack) -> Shop:
    far_ends, _ = with_stripe(stack, settings, own_stripe)
    return Shop(far_ends, settings, shop.sessions, shop.client, shop.http)


async def catch_up(shop: Shop) -> int:
    return await shop.client.execute_workflow(
        StripeEvents.run,
        CatchUpEvents(older_than=timedelta(0)),
        id=f"events-{secrets.token_hex(4)}",
        task_queue=shop.settings.task_queue,
    )


async def authenticated(shop: Shop) -> str:
    """An order whose customer has acted, of which Stripe's webhook never came: none is sent here."""
    order = await shop.put(await shop.product(), payment_method="pm_card_authenticationRequired")
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.AWAITING_CUSTOMER)
    intent = (await shop.payment_intent(order.order_id))["id"]
    url = f"{shop.stack.urls.stripe}/_control/payment_intents/{intent}/authenticate"
    (await shop.http.post(url, json={"succeed": True})).raise_for_status()
    return order.order_id


async def test_an_order_moves_on_although_its_webhook_was_lost(
    shop: Shop, engine: AsyncEngine, own_inbox: None, worker: None
) -> None:
    """Long before the workflow's own look at the payment, which stands behind it as a second net."""
    await catch_up(shop)
    await put_aside(engine)  # what it found of other tests' orders
    order_id = await authenticated(shop)

    assert await catch_up(shop) > 0

    async with build_relay(shop.settings) as parts:
        while await swept(parts.inbox):
            pass
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)


async def test_an_event_is_stored_once_however_it_comes(shop: Shop, sessions: Sessions, worker: None) -> None:
    """Listed twice, or listed after it was delivered: the inbox has one row of it."""
    order_id = await authenticated(shop)
    await catch_up(shop)
    intent = (await shop.payment_intent(order_id))["id"]
    first = await rows_about(sessions, intent)

    await catch_up(shop)

    again = await rows_about(sessions, intent)
    assert [row.event_id for row in first] == [row.event_id for row in again]
    assert {row.type for row in again} >= {"payment_intent.amount_capturable_updated"}


async def rows_about(sessions: Sessions, intent: str) -> list[InboxEvent]:
    async with sessions() as session:
        connection = await session.connection()
        found = await connection.execute(
            text("SELECT event_id FROM webhook_inbox WHERE object_id = :o ORDER BY event_id"), {"o": intent}
        )
        return [await session.get_one(InboxEvent, ("stripe", event_id)) for event_id in found.scalars()]


async def test_the_cursor_moves_when_the_events_are_stored_and_not_before(
    shop: Shop, sessions: Sessions, worker: None
) -> None:
    """Stripe is away for a moment: the next try begins where the last success ended."""
    await catch_up(shop)
    before = await _cursor(sessions)
    await shop.fault("stripe", "events.list", "error_500_unsaved", times=1)
    began = now()
    await catch_up(shop)
    await shop.no_faults()
    after = await _cursor(sessions)
    assert before is not None and after is not None
    assert after > before and after >= began - timedelta(seconds=5)


async def _cursor(sessions: Sessions) -> datetime | None:
    async with sessions() as session:
        return await cursors.cursor_of(session, CURSOR)


async def test_a_cursor_never_moves_back(sessions: Sessions) -> None:
    """Two jobs at once, of which the slower one writes last."""
    name, at = secrets.token_hex(4), now()
    for to in (at, at - timedelta(hours=1)):
        async with sessions() as session, session.begin():
            await cursors.move_cursor(session, name, to)
    async with sessions() as session:
        assert await cursors.cursor_of(session, name) == at


@pytest.mark.slow
async def test_a_first_run_looks_back_three_days(shop: Shop, sessions: Sessions, worker: None) -> None:
    """Without a cursor: in windows of an hour, so that a run that dies has not been for nothing."""
    async with sessions() as session, session.begin():
        await (await session.connection()).execute(text("DELETE FROM cursors WHERE name = :n"), {"n": CURSOR})
    order_id = await authenticated(shop)
    await catch_up(shop)
    intent = (await shop.payment_intent(order_id))["id"]
    assert await rows_about(sessions, intent)
    assert (await _cursor(sessions)) is not None
