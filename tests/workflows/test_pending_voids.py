"""Orders whose label is to be void: the saga waits for the carrier, calls nobody, and goes on at its word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import Client

from adapters.settings import Settings
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from tests.support.orders import Books, Handle, Shop, undos_run
from tests.support.reconciling import open_tickets, reconcile, recovery_of
from tests.support.repairs import Desk
from tests.support.voids import LATER, aged, carrier_decides, usual_carrier
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from worker import build_activities, build_worker
from workflows.order_fulfillment import OrderFulfillment
from workflows.saga import policies

CONFIRM = "confirm_void"
UNDONE = Books(status="CANCELED", payment_status="Refunded", on_hand=10)


@pytest.fixture(autouse=True)
async def voids_end(shop: Shop) -> AsyncIterator[None]:
    yield
    await usual_carrier(shop)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is called about every step that takes a moment."""
    monkeypatch.setattr(policies, "ATTENTION_AFTER", timedelta(milliseconds=300))


async def canceled(shop: Shop, **carrier: object) -> tuple[str, Handle]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.carrier(**carrier)
    await handle.signal(OrderFulfillment.cancel_order)
    return order.order_id, handle


async def looks(handle: Handle) -> int:
    """How often it has asked whether the label is void, and was answered."""
    events = (await handle.fetch_history()).events
    asked = {e.event_id for e in events if e.activity_task_scheduled_event_attributes.activity_type.name == CONFIRM}
    return sum(e.activity_task_completed_event_attributes.scheduled_event_id in asked for e in events)


async def test_an_order_of_a_carrier_that_bills_on_scan_is_undone_without_a_person(shop: Shop, worker: None) -> None:
    """Nothing was paid for the label: nobody waits for a refund that never comes."""
    order_id, handle = await canceled(shop, refund_status="not_applicable")
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == UNDONE
    assert await undos_run(handle) == ["cancel_shipment", "return_payment", "release_inventory"]
    assert await open_tickets(shop, order_id) == []


async def test_a_pending_void_calls_nobody_and_ends_at_once_when_the_carrier_says_so(
    shop: Shop, hooks: Hooks, worker: None, impatient: None
) -> None:
    """The next look would come in six hours: a webhook of the carrier brings it now."""
    order_id, handle = await canceled(shop, refund_delay=LATER)
    await until(lambda: looks(handle), 1)
    await aged(shop, order_id, timedelta(days=1))
    shipment_id = await shop.shipment_id(order_id)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.PRE_TRANSIT)  # a look that finds nothing new
    await until(lambda: looks(handle), 2)
    await hooks.processed(await hooks.carrier(shipment_id), "carrier")
    assert (await shop.books(order_id)).kept == 2000
    assert await looks(handle) == 2  # an event that tells nothing about the void ends no pause
    assert await open_tickets(shop, order_id) == []

    await carrier_decides(shop)
    await hooks.processed(await hooks.carrier(shipment_id), "carrier")

    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == UNDONE
    assert await looks(handle) == 3
    assert not (await shop.order(order_id)).needs_attention


@pytest.mark.parametrize(("decision", "labels"), [("mark_done", 1), ("write_off", 1), ("retry", 0)])
async def test_a_void_that_the_carrier_rejects_is_for_a_person_to_decide(
    shop: Shop, hooks: Hooks, desk: Desk, worker: None, decision: str, labels: int
) -> None:
    """Only they can see whether the parcel is still here; a retry asks the carrier again, who may take it back."""
    order_id, handle = await canceled(shop, refund_delay=LATER, refund_status="rejected")
    await until(lambda: looks(handle), 1)
    await carrier_decides(shop)
    await hooks.carrier(await shop.shipment_id(order_id))
    ticket = await desk.called(order_id, "void_rejected", "cancel_shipment")
    assert (await shop.books(order_id)).kept == 2000
    await usual_carrier(shop)
    await desk.settle(ticket, decision)
    assert await handle.result() is OrderStatus.CANCELED
    books = await shop.books(order_id)
    assert (books.kept, books.on_hand, books.reserved, books.labels) == (0, 10, 0, labels)
    assert await desk.is_calm(order_id)


@pytest.mark.slow
async def test_a_void_that_takes_too_long_calls_a_person_who_may_end_the_wait(
    shop: Shop, desk: Desk, worker: None
) -> None:
    """Three weeks by default; the customer need not wait longer for the carrier."""
    order_id, handle = await canceled(shop, refund_delay=LATER)
    await until(lambda: looks(handle), 1)
    await aged(shop, order_id, timedelta(days=22))
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.PRE_TRANSIT)
    ticket = await desk.called(order_id, "void_pending", "cancel_shipment")
    assert "22 days ago" in ticket["detail"]
    await desk.settle(ticket, "write_off")
    assert await handle.result() is OrderStatus.CANCELED
    assert (await shop.books(order_id)).kept == 0


@pytest.mark.slow
async def test_money_and_stock_may_go_back_before_the_void_is_confirmed(
    shop: Shop, temporal_client: Client, settings: Settings, hooks: Hooks
) -> None:
    """By the shop's setting; the order is CANCELED once the label is settled, too."""
    generous = settings.model_copy(update={"void_settles": "accepted"})
    async with build_activities(generous) as activities, build_worker(temporal_client, generous, activities):
        order_id, handle = await canceled(shop, refund_delay=LATER)
        await until(lambda: looks(handle), 1)
        assert await shop.books(order_id) == Books(
            status="CANCELING", payment_status="Refunded", on_hand=10, labels=1
        )
        await carrier_decides(shop)
        await hooks.carrier(await shop.shipment_id(order_id))
        assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == [
        "cancel_shipment",
        "return_payment",
        "release_inventory",
        *["confirm_void"] * 2,
    ]
    assert await shop.books(order_id) == UNDONE


async def test_a_recovery_waits_for_the_void_that_it_finds(shop: Shop, hooks: Hooks, worker: None) -> None:
    """The workflow was terminated while the carrier decided: the next one waits as it did."""
    order_id, handle = await canceled(shop, refund_delay=LATER)
    await until(lambda: looks(handle), 1)
    await handle.terminate("by mistake")
    await reconcile(shop, order_id)
    recovery = recovery_of(shop, order_id)
    await until(lambda: looks(recovery), 1)
    await carrier_decides(shop)
    await hooks.carrier(await shop.shipment_id(order_id))
    assert await recovery.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == UNDONE
