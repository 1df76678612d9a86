"""What takes minutes and days in an order's life, on the real server with its time skipped."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from adapters.postgres.database import Sessions
from domain.order_states import OrderStatus
from services.tickets.tables import Ticket
from tests.support.orders import Books, undos_run
from tests.support.timeless import Timeless
from tests.support.waiting import until
from workflows.order import time_limits


async def open_tickets(sessions: Sessions, order_id: str) -> list[tuple[str, str, bool]]:
    async with sessions() as session:
        tickets = await session.exec(select(Ticket).where(Ticket.order_id == order_id))
        return [(ticket.step, ticket.kind, ticket.resolved_at is None) for ticket in tickets]


async def test_a_step_that_does_not_get_on_reaches_a_person_and_is_dismissed_when_it_does(
    timeless: Timeless, sessions: Sessions
) -> None:
    """After two minutes of retries there is a ticket and a flag; the retries go on, succeed, and settle both."""
    shop = timeless.shop
    timeless.faults.let_wait("capture_payment", timedelta(minutes=3), short=True)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: open_tickets(sessions, order.order_id), [("capture_payment", "step_keeps_failing", False)])
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    whats = [row.what for row in await shop.timeline(order.order_id)]
    assert "needs attention: capture_payment: step_keeps_failing" in whats
    assert "succeeded by itself: capture_payment" in whats
    assert not (await shop.order(order.order_id)).needs_attention
    await handle.terminate()


async def test_an_order_whose_customer_never_acts_is_undone(
    timeless: Timeless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3-D Secure without an answer for 15 minutes: looked at each minute, then the stock goes back."""
    assert timedelta(minutes=1) == time_limits.PAYMENT_POLL
    monkeypatch.setattr(time_limits, "PAYMENT_POLL", timedelta(minutes=3))  # the server takes a second for each
    shop = timeless.shop
    order = await shop.put(await shop.product(), payment_method="pm_card_authenticationRequired")
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.REJECTED
    assert await undos_run(handle) == ["return_payment", "release_inventory"]
    assert timeless.faults.calls.count("check_payment") == 5
    books = await shop.books(order.order_id)
    assert books == Books(status="REJECTED", payment_status="Voided", on_hand=10)
    refusal = (await shop.order(order.order_id)).refusal
    assert refusal is not None and refusal["code"] == "abandoned"


async def test_the_shop_says_how_long_a_customer_is_waited_for(timeless: Timeless) -> None:
    """90 seconds: one look after a minute, the last at the end of the time and not a minute later."""
    shop = timeless.shop
    order = await shop.put(await shop.product(), payment_method="pm_card_authenticationRequired")
    handle = await shop.start(order.model_copy(update={"customer_patience": timedelta(seconds=90)}))
    assert await handle.result() is OrderStatus.REJECTED
    assert timeless.faults.calls.count("check_payment") == 2
    history = await handle.fetch_history()
    waited = history.events[-1].event_time.ToDatetime() - history.events[0].event_time.ToDatetime()
    assert timedelta(seconds=90) <= waited < timedelta(seconds=150)


async def test_a_lost_webhook_is_made_up_for_by_asking_the_carrier(timeless: Timeless) -> None:
    """Nobody tells of the delivery: the carrier is asked every six hours."""
    shop = timeless.shop
    timeless.faults.hold("check_shipment")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await timeless.faults.arrived("check_shipment")
    await shop.parcel(order.order_id, "delivered")
    timeless.faults.release("check_shipment")
    assert await handle.result() is OrderStatus.DELIVERED
    assert await shop.books(order.order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )


async def test_ships_only_when_the_wait_is_over(timeless: Timeless) -> None:
    """Confirmed now, shipped in three days, by the order's own clock."""
    shop = timeless.shop
    order = await shop.put(await shop.product())
    await shop.start(order, ship_in=timedelta(days=3))
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    history = await shop.client.get_workflow_handle(f"order-{order.order_id}").fetch_history()
    times = {event.WhichOneof("attributes"): event.event_time.ToDatetime() for event in history.events}
    assert times["activity_task_scheduled_event_attributes"] - history.events[0].event_time.ToDatetime() > timedelta(
        days=2, hours=23
    )


async def test_the_grace_period_ends_by_itself(timeless: Timeless) -> None:
    """Two hours for a change of mind, then the label is bought."""
    shop = timeless.shop
    order = await shop.put(await shop.product())
    handle = await shop.start(order.model_copy(update={"grace_period": timedelta(hours=2)}))
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    history = await handle.fetch_history()
    bought = next(
        event.event_time.ToDatetime()
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "ship_order"
    )
    assert (
        timedelta(0) <= bought - history.events[0].event_time.ToDatetime() - timedelta(hours=2) < timedelta(hours=1)
    )
    await handle.terminate()
