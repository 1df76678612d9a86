"""The events that other services consume, as the `data` of CloudEvents 1.0.

Every order event carries the fields of all the schemas that existing consumers read (OrderCreated's and
OrderPlaced's alike), so one shape serves them all. Money is a decimal string in major units of `currency`.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus


class EventName(StrEnum):
    """What can happen to an order, in the past tense. Consumers rely on the names: none is renamed or removed."""

    ORDER_PLACED = "OrderPlaced"
    INVENTORY_RESERVED = "InventoryReserved"
    INVENTORY_UPDATED = "InventoryUpdated"
    PAYMENT_AUTHORIZED = "PaymentAuthorized"
    PAYMENT_ACTION_REQUIRED = "PaymentActionRequired"
    PAYMENT_DECLINED = "PaymentDeclined"
    ORDER_CONFIRMED = "OrderConfirmed"
    SHIPMENT_BOOKED = "ShipmentBooked"
    SHIPMENT_HELD = "ShipmentHeld"  # for the warehouse: the label is called back, the parcel has to stay here
    PAYMENT_CAPTURED = "PaymentCaptured"
    ORDER_SHIPPED = "OrderShipped"
    ORDER_DELIVERED = "OrderDelivered"
    CANCEL_REQUESTED = "CancelRequested"
    CANCEL_REFUSED = "CancelRefused"
    PAYMENT_VOIDED = "PaymentVoided"
    PAYMENT_REFUNDED = "PaymentRefunded"
    INVENTORY_RELEASED = "InventoryReleased"
    ORDER_CANCELED = "OrderCanceled"
    ORDER_REJECTED = "OrderRejected"
    ORDER_NEEDS_ATTENTION = "OrderNeedsAttention"
    ORDER_RESOLVED = "OrderResolved"

    @property
    def type(self) -> str:
        """The CloudEvents type: OrderPlaced is `ordersaga.order.placed.v1`."""
        noun, *rest = re.findall(r"[A-Z][a-z]+", self.value)
        return f"ordersaga.{noun.lower()}.{'_'.join(word.lower() for word in rest)}.v1"


class EventData(BaseModel):
    """What every event carries. Fields are camelCase in JSON; `timestamp` is UTC."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    event_id: str
    event_type: EventName
    timestamp: datetime


class EventItem(BaseModel):
    """A line of the order; `price` is that of one piece, a decimal string in major units of the event's currency."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    product_id: str
    quantity: int
    price: str


class OrderEventData(EventData):
    """An event of an order, with the order as it was after the change.

    `detail_type` repeats `event_type`, and `user_id` repeats `customer_id`, for consumers of the older schemas.
    """

    detail_type: EventName
    order_id: str
    user_id: str
    customer_id: str
    order_status: OrderStatus
    payment_status: PaymentStatus
    items: list[EventItem]
    currency: str
    total_amount: str
    reason: str | None = None  # a code, or words of ours
    reason_id: str | None = None  # of what a person wrote, which stays here
    tracking_number: str | None = None
    amount: str | None = None  # of what was captured or given back, where that is not the total


class InventoryUpdatedData(EventData):
    """A change of a product's stock on hand, in pieces; `new_quantity` is what is on hand after it."""

    product_id: str
    quantity_change: int
    new_quantity: int


def item(product_id: str, quantity: int, unit_price: Money) -> EventItem:
    """A line as events carry it: exact money becomes a decimal string."""
    return EventItem(product_id=product_id, quantity=quantity, price=unit_price.decimal)
