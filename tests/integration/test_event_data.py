"""What lands in the outbox fits the published schemas, and existing consumers read it."""

from __future__ import annotations

import json

import httpx
from sqlmodel import col, select

from adapters.postgres.database import Sessions
from api.events.asyncapi import document
from devstack.events.structure import payload_validator
from domain.cloud_events import CloudEvent
from domain.event_references import REFERENCES
from domain.event_registry import read
from domain.order_states import OrderStatus
from services.outbox.tables import OutboxEvent
from tests.support.orders import Shop
from tests.support.waiting import until


def _checked(row: OutboxEvent) -> CloudEvent:
    """The event that the row is, once it fits its message in the AsyncAPI document and the model of its type."""
    event = CloudEvent(
        id=row.event_id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        sequence=row.sequence,
        time=row.time,
        traceparent=row.traceparent,
        data=row.data,
    )
    payload_validator(document(), event.type).validate(json.loads(event.to_json()))
    read(event.type, event.data)
    return event


async def test_the_events_of_an_order_fit_the_published_schemas(
    shop: Shop, api: httpx.AsyncClient, sessions: Sessions, worker: None
) -> None:
    """Of an order that is ready to ship, and of stock that came; older consumers read theirs."""
    product = await shop.product()
    order = await shop.put(product)
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await api.post(f"/api/inventory/{product}/update", json={"quantityChange": 5})

    rows = await shop.events(order.order_id)
    async with sessions() as session:
        rows += await session.exec(select(OutboxEvent).where(col(OutboxEvent.subject) == product))
    told = {event.data["eventType"]: event for event in map(_checked, rows)}

    assert {"OrderPlaced", "OrderConfirmed", "ShipmentBooked", "PaymentCaptured", "InventoryUpdated"} <= set(told)
    placed = REFERENCES["OrderCreated"].model_validate(told["OrderPlaced"].data).model_dump()
    assert (placed["order_id"], str(placed["total_amount"])) == (order.order_id, "20.00")
    stock = REFERENCES["InventoryUpdated"].model_validate(told["InventoryUpdated"].data).model_dump()
    assert (stock["product_id"], stock["quantity_change"]) == (product, 5)


async def test_the_events_of_a_canceled_order_fit_the_published_schemas(
    shop: Shop, api: httpx.AsyncClient, worker: None
) -> None:
    """With what was undone, and with what a person wrote only named."""
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    answer = await api.post(f"/api/orders/{order.order_id}/cancel", json={"reason": "too late for Sunday"})
    assert answer.status_code in (200, 202)
    await until(lambda: shop.status(order.order_id), OrderStatus.CANCELED)

    told = {event.data["eventType"]: event for event in map(_checked, await shop.events(order.order_id))}

    assert {"CancelRequested", "InventoryReleased", "PaymentRefunded", "ShipmentHeld", "OrderCanceled"} <= set(told)
    assert "Sunday" not in str(told)
    canceled = REFERENCES["OrderCanceled"].model_validate(told["OrderCanceled"].data).model_dump()
    assert (canceled["detail_type"], canceled["order_status"]) == ("OrderCanceled", "CANCELED")
