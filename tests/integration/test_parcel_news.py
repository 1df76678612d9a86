"""Where a parcel is, as the API tells it: what the carrier said last, by webhook or look, whoever listens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.carrier.gateway import CarrierGateway
from adapters.settings import Settings
from domain.commands import CancelRequest, ParcelStatus
from domain.order_states import OrderStatus
from events.parcel_follow_up import ParcelFollowUp
from services.orders.book import OrderBook
from services.shipping.book import note_parcel, shipment_of
from tests.support.orders import Handle, Shop
from tests.support.repairs import Desk
from tests.support.steps import Steps
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from workflows.order_fulfillment import OrderFulfillment


class News:
    """A carrier that tells by webhook where the parcel is, and what the API then says of it."""

    def __init__(self, shop: Shop, hooks: Hooks, api: httpx.AsyncClient) -> None:
        self._shop, self._hooks, self._api = shop, hooks, api

    async def tell(self, order_id: str, status: str) -> None:
        await self._shop.parcel(order_id, status)
        answer = await self._hooks.carrier(await self._shop.shipment_id(order_id))
        await self._hooks.processed(answer, "carrier")

    async def shown(self, order_id: str) -> dict[str, Any]:
        shipment: dict[str, Any] = (await self._api.get(f"/api/orders/{order_id}")).json()["shipment"]
        return shipment


@pytest.fixture
def news(shop: Shop, hooks: Hooks, api: httpx.AsyncClient) -> News:
    return News(shop, hooks, api)


async def ready(shop: Shop) -> tuple[str, Handle]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    return order.order_id, handle


async def test_every_webhook_of_the_carrier_shows_at_once(shop: Shop, news: News, worker: None) -> None:
    """Also what the saga does nothing about, and a lost parcel, of which a person hears as well."""
    order_id, handle = await ready(shop)
    assert (await news.shown(order_id))["status"] == "pre_transit"
    at = ""
    for status in (
        "in_transit",
        "out_for_delivery",
        "available_for_pickup",
        "failure",
        "return_to_sender",
        "delivered",
    ):
        await news.tell(order_id, status)
        shown = await news.shown(order_id)
        assert shown["status"] == status
        assert shown["updatedAt"] > at
        at = shown["updatedAt"]
    assert await handle.result() is OrderStatus.DELIVERED
    await news.tell(order_id, "in_transit")  # old news
    assert (await news.shown(order_id))["status"] == "delivered"


async def test_the_parcel_of_an_order_whose_workflow_is_over_still_shows(
    shop: Shop, news: News, api: httpx.AsyncClient, worker: None
) -> None:
    """Given up by a person, it turned up at its customer's door."""
    order_id, handle = await ready(shop)
    await news.tell(order_id, "failure")
    desk = Desk(api)
    await desk.settle(await desk.called(order_id, "parcel_failure"), "write_off")
    assert await handle.result() is OrderStatus.SHIPPED
    await news.tell(order_id, "delivered")
    assert (await news.shown(order_id))["status"] == "delivered"
    assert await shop.status(order_id) is OrderStatus.SHIPPED


async def test_a_void_label_and_its_scan_show(shop: Shop, news: News, worker: None) -> None:
    """The order is CANCELED: a person hears of the scan, and customers see the truth."""
    order_id, handle = await ready(shop)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert (await news.shown(order_id))["status"] == "cancelled"
    await news.tell(order_id, "in_transit")
    assert (await news.shown(order_id))["status"] == "in_transit"
    assert (await shop.order(order_id)).needs_attention


async def test_a_look_at_the_carrier_shows_too(shop: Shop, steps: Steps, news: News) -> None:
    """Webhooks may be lost: the saga asks for itself."""
    order = await shop.put(await shop.product())
    await steps.reach("capture_payment", order.order_id)
    for status in ("in_transit", "out_for_delivery", "failure"):
        await shop.parcel(order.order_id, status)
        assert (await steps.run("check_shipment", order.order_id)).status == status
        assert (await news.shown(order.order_id))["status"] == status
    await steps.run("record_shipped", order.order_id)
    assert (await news.shown(order.order_id))["status"] == "failure"


async def test_a_scan_that_only_the_books_know_refuses_a_cancel_and_ships_the_order(
    shop: Shop, news: News, worker: None
) -> None:
    """The process that wrote it died before it told the workflow: the next event, or the next look, does."""
    order_id, handle = await ready(shop)
    await shop.parcel(order_id, "in_transit")
    async with OrderBook(shop.sessions).locked(order_id) as order:
        row = shipment_of(order)
        assert row is not None and note_parcel(order, row, ParcelStatus.IN_TRANSIT)
    answer = await handle.execute_update(OrderFulfillment.cancel, CancelRequest())
    assert (answer.accepted, answer.code) == (False, "already_shipped")
    assert await shop.status(order_id) is OrderStatus.READY_TO_SHIP
    await news.tell(order_id, "in_transit")
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await news.tell(order_id, "delivered")
    assert await handle.result() is OrderStatus.DELIVERED


class Engine:
    """One that is away at first; notes the signals that it takes."""

    def __init__(self) -> None:
        self.away, self.signals = True, 0

    def get_workflow_handle(self, workflow_id: str) -> Any:
        return SimpleNamespace(signal=self._signal)

    async def _signal(self, kind: Any, *, args: Any) -> None:
        if self.away:
            raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
        self.signals += 1


@pytest.mark.parametrize("status", ["in_transit", "failure", "return_to_sender", "delivered"])
@pytest.mark.parametrize("reached", ["capture_payment", "record_shipped"])
async def test_news_are_kept_in_the_books_and_told_when_the_engine_is_back(
    shop: Shop, steps: Steps, engine: AsyncEngine, settings: Settings, status: str, reached: str
) -> None:
    """The event is followed up again, and the books know already: the workflow still hears of it."""
    order = await shop.put(await shop.product())
    await steps.reach(reached, order.order_id)
    await shop.parcel(order.order_id, status)
    shipment_id, temporal, carrier = await shop.shipment_id(order.order_id), Engine(), CarrierGateway(settings)
    follow_up = ParcelFollowUp(engine, cast(Client, temporal), carrier, OrderBook(shop.sessions))
    nothing_new = (reached, status) == ("record_shipped", "in_transit")
    if not nothing_new:
        with pytest.raises(RPCError):
            await follow_up.look(shipment_id)
    temporal.away = False
    await follow_up.look(shipment_id)
    assert temporal.signals == (0 if nothing_new else 1)
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        row = shipment_of(locked)
        assert row is not None and row.parcel_status == status
    await carrier.aclose()
