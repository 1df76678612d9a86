"""The events that other services consume, as the `data` of CloudEvents 1.0.

Every order event carries the fields of all the schemas that existing consumers read (OrderCreated's and
OrderPlaced's alike), so one shape serves them all. Money is a decimal string in major units of `currency`.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus

Amount = Annotated[str, Field(json_schema_extra={"pattern": r"^-?\d+(\.\d+)?$"})]
"""Exact money in major units of the event's `currency`: "79.99", or "500" where the currency has no minor units."""


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
    PROMOTION_EXHAUSTED = "PromotionExhausted"

    @property
    def type(self) -> str:
        """The CloudEvents type in the version that is written: OrderPlaced is `ordersaga.order.placed.v1`."""
        noun, *rest = re.findall(r"[A-Z][a-z]+", self.value)
        return f"ordersaga.{noun.lower()}.{'_'.join(word.lower() for word in rest)}.v1"


class EventData(BaseModel):
    """What every event carries. Fields are camelCase in JSON; `timestamp` is UTC."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    event_id: str = Field(description="the event's id, the same in every repeat of it; also the `id` around `data`")
    event_type: EventName
    timestamp: datetime = Field(description="when it happened, UTC")


class EventItem(BaseModel):
    """A line of the order; `price` is that of one piece, a decimal string in major units of the event's currency."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    product_id: str
    quantity: int = Field(description="pieces")
    price: Amount = Field(description="of one piece, in major units of `currency`")
    discount: Amount | None = Field(None, description="off the whole line; absent where there is none")
    tax: Amount | None = Field(None, description="of the whole line, after its discount; absent where there is none")


class OrderEventData(EventData):
    """An event of an order, with the order as it was after the change.

    `detail_type` repeats `event_type`, and `user_id` repeats `customer_id`, for consumers of the older schemas.
    """

    detail_type: EventName
    order_id: str
    user_id: str = Field(description="the customer, as `customerId`: older consumers read this name")
    customer_id: str
    order_status: OrderStatus
    payment_status: PaymentStatus
    items: list[EventItem] = Field(description="the lines that are still part of the order")
    currency: str = Field(description="ISO 4217, of every amount in the event")
    total_amount: Amount = Field(description="of the whole order, as at checkout")
    subtotal_amount: Amount | None = Field(
        None,
        description="the lines before discounts; it and the parts below are there where the total is not their sum",
    )
    discount_amount: Amount | None = Field(None, description="all discounts; totalAmount is without them")
    shipping_fee: Amount | None = Field(None, description="before its discount; part of totalAmount")
    added_tax_amount: Amount | None = Field(
        None, description="tax that prices do not contain, of goods and shipping; part of totalAmount"
    )
    reason: str | None = Field(None, description="why: a code, or words of the service; never what a person wrote")
    reason_id: str | None = Field(None, description="the id of what a person wrote, which stays in the service")
    tracking_number: str | None = Field(None, description="the carrier's number of the parcel")
    amount: Amount | None = Field(None, description="what was captured or given back, where that is not the total")


class InventoryUpdatedData(EventData):
    """A change of a product's stock on hand, in pieces; `new_quantity` is what is on hand after it."""

    product_id: str
    quantity_change: int = Field(description="pieces that came (above 0) or went (below 0)")
    new_quantity: int = Field(description="pieces on hand after the change")


class PromotionExhaustedData(EventData):
    """A coupon of a promotion was used for the last time that its limit allows; an order that is undone frees it."""

    promotion_id: str
    name: str = Field(description="of the promotion")
    code: str = Field(description="of the coupon")
    usage_limit: int = Field(description="how often the coupon may be used in all")


def item(product_id: str, quantity: int, unit_price: Money) -> EventItem:
    """A line as events carry it: exact money becomes a decimal string."""
    return EventItem(product_id=product_id, quantity=quantity, price=unit_price.decimal)
