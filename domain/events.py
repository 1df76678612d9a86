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
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    event_id: str
    event_type: EventName
    timestamp: datetime


class EventItem(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    product_id: str
    quantity: int
    price: str


class OrderEventData(EventData):
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
    product_id: str
    quantity_change: int
    new_quantity: int


def item(product_id: str, quantity: int, unit_price: Money) -> EventItem:
    return EventItem(product_id=product_id, quantity=quantity, price=unit_price.decimal)
