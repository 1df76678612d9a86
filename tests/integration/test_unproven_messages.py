"""Whoever may write to Temporal's namespace can send a workflow anything: nothing comes of it but a cancel."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from temporalio.client import Client, WorkflowHandle

from adapters.settings import Settings
from adapters.temporal import client as temporal
from domain.commands import Attention, CheckoutAnswer, NewPaymentMethod, ParcelStatus
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from services.orders.book import OrderBook
from services.tickets.book import open_ticket
from services.tickets.tables import Ticket
from tests.support.orders import Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment


@pytest.fixture
async def anybody(base_settings: Settings) -> Client:
    """A client that proves nothing."""
    return await temporal.connect(base_settings)


def sent_to(client: Client, order_id: str) -> WorkflowHandle[OrderFulfillment, OrderStatus]:
    return client.get_workflow_handle_for(OrderFulfillment.run, f"order-{order_id}")


async def told(shop: Shop, order_id: str, words: str) -> list[str]:
    """By whom, of each line of the timeline that begins with these words."""
    return [line.by or "" for line in await shop.timeline(order_id) if line.what.startswith(words)]


async def test_a_parcel_is_where_its_carrier_says(shop: Shop, worker: None, anybody: Client) -> None:
    """A forged scan and a forged delivery move nothing; the real ones do, and a cancel is possible until then."""
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    before = await shop.books(order.order_id)

    await sent_to(anybody, order.order_id).signal("parcel_changed", ParcelStatus.DELIVERED)
    await until(lambda: told(shop, order.order_id, "passed over: news of the parcel"), ["unverified:nobody"])
    assert await shop.books(order.order_id) == before

    await shop.parcel(order.order_id, "in_transit")
    await sent_to(anybody, order.order_id).signal("parcel_changed", ParcelStatus.DELIVERED)
    await until(lambda: shop.status(order.order_id), OrderStatus.SHIPPED)  # which is true
    await until(lambda: told(shop, order.order_id, "passed over: news of the parcel"), ["unverified:nobody"] * 2)
    assert await shop.status(order.order_id) is OrderStatus.SHIPPED

    await sent_to(shop.client, order.order_id).signal("parcel_changed", ParcelStatus.DELIVERED)
    assert await sent_to(shop.client, order.order_id).result() is OrderStatus.DELIVERED


async def test_a_decision_comes_by_the_repair_desk(shop: Shop, worker: None, anybody: Client) -> None:
    """Another one leaves ticket and order as they are, and the timeline says whose name came with it."""
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        about = Attention(order_id=order.order_id, step="follow_parcel", kind="parcel_failure", detail="x")
        ticket = await open_ticket(locked, about)
    wanted = Resolution(ticket_id=ticket, decision=RepairDecision.MARK_DONE, by="director", evidence="none")
    for forged in (wanted, wanted.model_copy(update={"proof": "9999999999.abc"})):
        answer = await sent_to(anybody, order.order_id).execute_update(OrderFulfillment.resolve, forged)
        assert (answer.accepted, answer.code) == (False, "unproven")
    async with shop.sessions() as session:
        assert (await session.get_one(Ticket, ticket)).resolved_at is None
    assert await told(shop, order.order_id, "refused: mark_done of ticket") == ["unverified:director"] * 2
    assert await shop.status(order.order_id) is OrderStatus.READY_TO_SHIP

    answer = await sent_to(shop.client, order.order_id).execute_update(OrderFulfillment.resolve, wanted)
    assert answer.accepted


async def test_only_the_api_hurries_an_order(
    shop: Shop, worker: None, anybody: Client, api: httpx.AsyncClient
) -> None:
    """A signal by itself wakes the workflow, which finds nobody who wished it."""
    order = await shop.put(await shop.product())
    await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await sent_to(anybody, order.order_id).signal("ship_now")
    await until(lambda: told(shop, order.order_id, "passed over: a wish to ship"), ["unverified:nobody"])
    assert await shop.status(order.order_id) is OrderStatus.CONFIRMED

    hurried = await api.post(f"/api/orders/{order.order_id}/ship")
    assert (hurried.status_code, hurried.json()["orderId"]) == (202, order.order_id)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    late = await api.post(f"/api/orders/{order.order_id}/ship")
    assert (late.status_code, late.json()["code"]) == (409, "nothing_to_hurry")


async def test_only_the_api_offers_another_card(
    shop: Shop, worker: None, anybody: Client, api: httpx.AsyncClient
) -> None:
    """Nothing is charged, and the customer can still pay."""
    order = await shop.put(await shop.product(), payment_method="pm_card_chargeDeclined")
    window = {"payment_retry_window": timedelta(hours=1)}
    await shop.start(order.model_copy(update=window))
    await until(lambda: shop.status(order.order_id), OrderStatus.AWAITING_CUSTOMER)
    offer = NewPaymentMethod(payment_method="pm_card_visa")
    answer: CheckoutAnswer = await sent_to(anybody, order.order_id).execute_update(OrderFulfillment.pay, offer)
    assert (answer.status, answer.code) == (OrderStatus.AWAITING_CUSTOMER, "unproven")
    assert await shop.authorizations(order.order_id) == 0
    assert await told(shop, order.order_id, "refused: a payment method") == ["unverified:nobody"]

    body = {"paymentMethod": "pm_card_visa"}
    paid = await api.post(f"/api/orders/{order.order_id}/payment", json=body)
    assert (paid.status_code, paid.json()["status"]) == (200, "CONFIRMED")
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)


async def test_news_of_a_payment_is_a_look_at_stripe(shop: Shop, worker: None, anybody: Client) -> None:
    order = await shop.put(await shop.product())
    await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    before = await shop.books(order.order_id), len(await shop.timeline(order.order_id))
    handle = sent_to(anybody, order.order_id)
    await handle.signal("payment_changed")
    await until(lambda: _looked(handle), True)
    assert (await shop.books(order.order_id), len(await shop.timeline(order.order_id))) == before


async def _looked(handle: WorkflowHandle[OrderFulfillment, OrderStatus]) -> bool:
    """Whether the workflow has asked Stripe how the payment is."""
    events = (await handle.fetch_history()).events
    return any(e.activity_task_scheduled_event_attributes.activity_type.name == "keep_authorization" for e in events)
