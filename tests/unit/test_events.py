"""The events that others read: their types, and every field that their schemas name."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from domain.event_registry import REGISTRY
from domain.events import EventData, EventItem, EventName, InventoryUpdatedData, OrderEventData, item
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus

# The schemas of existing consumers, as design/api-and-events.md lists them.
ORDER_CREATED = "eventId eventType timestamp orderId userId items totalAmount paymentStatus"
ORDER_PLACED = "detailType orderId orderStatus customerId items totalAmount"
INVENTORY_UPDATED = "eventId eventType timestamp productId quantityChange newQuantity"
ITEM = "productId quantity price"


def _order_event(name: EventName) -> OrderEventData:
    return OrderEventData(
        event_id="e1",
        event_type=name,
        detail_type=name,
        timestamp=datetime(2026, 6, 1, tzinfo=UTC),
        order_id="o1",
        user_id="c1",
        customer_id="c1",
        order_status=OrderStatus.PLACED,
        payment_status=PaymentStatus.PENDING,
        items=[item("001", 2, Money.parse("79.99", "USD"))],
        currency="USD",
        total_amount="159.98",
    )


def _wire(data: EventData) -> dict[str, object]:
    """As the outbox stores it."""
    return data.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        (EventName.ORDER_PLACED, "ordersaga.order.placed.v1"),
        (EventName.ORDER_NEEDS_ATTENTION, "ordersaga.order.needs_attention.v1"),
        (EventName.INVENTORY_UPDATED, "ordersaga.inventory.updated.v1"),
        (EventName.PAYMENT_ACTION_REQUIRED, "ordersaga.payment.action_required.v1"),
        (EventName.SHIPMENT_BOOKED, "ordersaga.shipment.booked.v1"),
        (EventName.CANCEL_REQUESTED, "ordersaga.cancel.requested.v1"),
    ],
)
def test_an_events_type_is_made_of_its_name(name: EventName, type_: str) -> None:
    """The noun, then what happened to it, then the version."""
    assert name.type == type_


def test_every_event_has_a_type_of_its_own() -> None:
    """The design lists twenty, docs/decisions/0014 adds ShipmentHeld, 0036 PromotionExhausted: each has its type."""
    types = {name.type for name in EventName}
    assert len(types) == len(EventName) == 22
    assert all(re.fullmatch(r"ordersaga\.[a-z]+\.[a-z_]+\.v1", type_) for type_ in types)


@pytest.mark.parametrize("name", [event.name for event in REGISTRY if event.data is OrderEventData])
@pytest.mark.parametrize("schema", [ORDER_CREATED, ORDER_PLACED], ids=["OrderCreated", "OrderPlaced"])
def test_an_order_event_has_every_field_of_each_schema(name: EventName, schema: str) -> None:
    """One shape serves all consumers, and its names are those of the event."""
    wire = _wire(_order_event(name))
    assert set(schema.split()) <= set(wire)
    assert wire["eventType"] == wire["detailType"] == name.value
    assert wire["userId"] == wire["customerId"] == "c1"


def test_an_item_has_every_field_of_its_schema() -> None:
    """The price is a decimal string in major units; a discount and a tax are there only where there is one."""
    items = _wire(_order_event(EventName.ORDER_PLACED))["items"]
    assert items == [{"productId": "001", "quantity": 2, "price": "79.99"}]
    optional = {"discount", "tax"}
    assert {field.alias for field in EventItem.model_fields.values()} == set(ITEM.split()) | optional


def test_a_change_of_stock_has_every_field_of_its_schema() -> None:
    """InventoryUpdated, whose subject is the product."""
    data = InventoryUpdatedData(
        event_id="e1",
        event_type=EventName.INVENTORY_UPDATED,
        timestamp=datetime(2026, 6, 1, tzinfo=UTC),
        product_id="001",
        quantity_change=-2,
        new_quantity=148,
    )
    wire = _wire(data)
    assert set(wire) == set(INVENTORY_UPDATED.split())
    assert (wire["quantityChange"], wire["newQuantity"]) == (-2, 148)


@pytest.mark.parametrize(("reason", "tracking"), [(None, None), ("declined", "SIM1")])
def test_what_an_event_has_nothing_to_say_about_is_left_out(reason: str | None, tracking: str | None) -> None:
    """A reason and a tracking number are there only where there is one."""
    event = _order_event(EventName.ORDER_CANCELED).model_copy(update={"reason": reason, "tracking_number": tracking})
    wire = _wire(event)
    assert "reasonId" not in wire
    assert ("reason" in wire, "trackingNumber" in wire) == (reason is not None, tracking is not None)


def test_an_event_names_a_persons_reason_and_does_not_quote_it() -> None:
    """What people write stays in our database: the event carries the id of the text."""
    wire = _wire(_order_event(EventName.CANCEL_REQUESTED).model_copy(update={"reason_id": "t1"}))
    assert (wire["reasonId"], "reason" in wire) == ("t1", False)
