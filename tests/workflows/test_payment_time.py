"""Days and weeks in a payment's life: renewals, forgotten keys, a shop's patience. Time is skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col, select
from temporalio.testing import WorkflowEnvironment

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.commands import PaymentTry
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from services.payments.tables import Payment, PaymentAttempt
from tests.support.orders import Handle, undos_run
from tests.support.steps import run_attempt
from tests.support.timeless import Timeless, timeless_shop
from tests.support.waiting import until
from worker import build_activities

pytestmark = pytest.mark.slow


@pytest.fixture
async def own_stripe(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path / "stripe", ephemeral=True, parts={"stripe"}, migrate=False) as stripe:
        yield stripe


@pytest.fixture
async def timeless(
    env: WorkflowEnvironment, stack: Stack, own_stripe: Stack, settings: Settings, sessions: Sessions
) -> AsyncIterator[Timeless]:
    async with timeless_shop(env, stack, settings, sessions, own_stripe) as timeless:
        yield timeless


async def started(timeless: Timeless, ship_in: timedelta, method: str = "pm_card_visa") -> tuple[str, Handle]:
    order = await timeless.shop.put(await timeless.shop.product(), payment_method=method)
    return order.order_id, await timeless.shop.start(order, ship_in=ship_in)


FIRST, SECOND = timedelta(days=6, hours=12), timedelta(days=4, hours=6)
"""Seven days with the customer, 4 days 18 hours without, each less twelve hours."""


async def test_an_order_that_waits_two_weeks_is_held_anew_before_each_end(
    timeless: Timeless, sessions: Sessions
) -> None:
    """Two renewals, each twelve hours before the end that Stripe named; one charge in the end."""
    order_id = ""
    timeless.faults.before("keep_authorization", lambda: timeless.align_stripe(order_id))
    order_id, handle = await started(timeless, timedelta(days=14))
    await until(lambda: timeless.shop.status(order_id), OrderStatus.READY_TO_SHIP)
    assert await timeless.shop.authorizations(order_id) == 3
    assert await timeless.shop.money(order_id) == (0, 2000)
    history = await handle.fetch_history()
    looks = [
        _time(event) - _time(history.events[0])
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "keep_authorization"
    ]
    assert [round(look / timedelta(hours=1)) for look in looks] == [
        round(at / timedelta(hours=1)) for at in (FIRST, FIRST + SECOND)
    ]
    async with sessions() as session:
        payments = await session.exec(select(Payment).where(Payment.order_id == order_id))
        assert sorted(payment.state for payment in payments) == ["captured", "voided", "voided"]
    await handle.terminate()


async def test_a_card_that_says_no_at_a_renewal_undoes_the_order(timeless: Timeless) -> None:
    """The order was confirmed: it is canceled, not rejected, with the bank's reason; its stock is free again."""
    order_id = ""

    async def decline() -> None:
        card = (await timeless.shop.payment_intent(order_id))["payment_method"]
        await timeless.stripe(f"payment_methods/{card}", {"decline_code": "insufficient_funds"})

    timeless.faults.before("keep_authorization", decline)
    order_id, handle = await started(timeless, timedelta(days=14))
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == ["return_payment", "release_inventory"]
    assert await timeless.shop.money(order_id) == (0, 0)
    assert "insufficient" in (await timeless.shop.timeline(order_id))[-1].what
    assert (await timeless.shop.books(order_id)).reserved == 0


async def test_a_cancel_during_a_renewal_gives_back_what_it_held(timeless: Timeless) -> None:
    """The renewal's attempt finishes, then the undo finds the new authorization."""
    order_id = ""

    async def cancel() -> None:
        await timeless.env.client.get_workflow_handle(f"order-{order_id}").signal("cancel_order")

    timeless.faults.before("keep_authorization", cancel)
    order_id, handle = await started(timeless, timedelta(days=14))
    assert await handle.result() is OrderStatus.CANCELED
    assert await timeless.shop.authorizations(order_id) == 2
    assert await timeless.shop.money(order_id) == (0, 0)


async def test_nobody_offers_another_card_in_time(timeless: Timeless) -> None:
    """When the shop's window is over the order is rejected with the decline that it waited about."""
    order = await timeless.shop.put(await timeless.shop.product(), payment_method="pm_card_chargeDeclined")
    handle = await timeless.shop.start(order.model_copy(update={"payment_retry_window": timedelta(hours=2)}))
    assert await handle.result() is OrderStatus.REJECTED
    history = await handle.fetch_history()
    waited = _time(history.events[-1]) - _time(history.events[0])
    assert timedelta(hours=2) <= waited < timedelta(hours=3)
    refusal = (await timeless.shop.order(order.order_id)).refusal
    assert refusal is not None and refusal["code"] == "generic_decline"
    assert "retryUntil" not in refusal
    assert (await timeless.shop.books(order.order_id)).reserved == 0


@pytest.mark.parametrize("call", ["create", "confirm", "capture"])
async def test_a_retry_that_outlives_stripes_keys_charges_once(
    timeless: Timeless, sessions: Sessions, call: str
) -> None:
    """25 hours after a lost answer the same key would start anew at Stripe: it looks first, and finds the effect."""
    shop, settings = timeless.shop, timeless.shop.settings
    order = await shop.put(await shop.product())
    steps = ["reserve_inventory", "authorize_payment", "ship_order", "capture_payment"]
    lost = "capture_payment" if call == "capture" else "authorize_payment"
    async with build_activities(settings) as activities:
        methods = {method.__name__: method for method in activities.methods()}  # type: ignore[attr-defined]
        for step in steps[: steps.index(lost)]:
            await run_attempt(methods[step], order.order_id)
        await shop.fault("stripe", f"payment_intents.{call}", "after_effect_drop")
        with pytest.raises(TryAgain):
            await run_attempt(methods[lost], order.order_id)
        await timeless.move_stripe(timedelta(hours=25))
        await _age_calls(sessions, order.order_id, timedelta(hours=25))
        await run_attempt(methods[lost], PaymentTry(order_id=order.order_id), attempt=2)
        for step in steps[steps.index(lost) + 1 :]:
            await run_attempt(methods[step], order.order_id)
    assert await shop.authorizations(order.order_id) == 1
    assert await shop.money(order.order_id) == (0, 2000)


async def _age_calls(sessions: Sessions, order_id: str, age: timedelta) -> None:
    calls = update(PaymentAttempt).where(col(PaymentAttempt.order_id) == order_id)
    async with sessions() as session, session.begin():
        await session.exec(calls.values(first_sent_at=now() - age))


def _time(event: object) -> datetime:
    moment: datetime = event.event_time.ToDatetime()  # type: ignore[attr-defined]
    return moment
