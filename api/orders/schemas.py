"""What clients send about orders, and what they get."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from adapters.clock import now
from adapters.settings import Settings
from api.http.fields import (
    Amount,
    Body,
    CouponCode,
    Currency,
    Identifier,
    Metadata,
    ShippingOptionName,
    Text40,
    Text200,
    Text500,
    Time,
    Wire,
)
from api.orders.part_schemas import DiscountView, OrderItem, TaxView, unset
from domain.commands import REASON_LENGTH
from domain.limits import MAX_COUPONS, MAX_LINES, MAX_QUANTITY, SHIP_AHEAD
from domain.order_states import OrderStatus, PaymentStatus
from domain.payment_methods import PAYMENT_KINDS, stripe_method
from services.orders.placement import NewOrder
from services.orders.pricing import Pieces

_PAYMENT_METHOD = re.compile(r"pm_[A-Za-z0-9_]{1,250}", re.ASCII)

REFERENCE_ORDER: JsonDict = {
    "customer_id": 123,
    "items": [{"product_id": 456, "quantity": 2}],
    "payment_method": "credit_card",
}
FULL_ORDER: JsonDict = {
    "customerId": "001",
    "items": [{"productId": "001", "quantity": 1}, {"productId": "002", "quantity": 1}],
    "paymentMethod": "pm_card_visa",
    "expectedTotal": "279.98",
    "currency": "USD",
    "shippingAddress": {
        "name": "Alice Johnson",
        "street1": "1 Main Street",
        "city": "Springfield",
        "state": "IL",
        "zip": "62701",
        "country": "US",
    },
    "metadata": {"channel": "web"},
}


def not_too_far_ahead(value: datetime) -> datetime:
    if value > now() + SHIP_AHEAD:
        raise ValueError(f"shipping can wait for {SHIP_AHEAD.days} days at most")
    return value


def _payment_method(value: str) -> str:
    if value not in PAYMENT_KINDS and not _PAYMENT_METHOD.fullmatch(value):
        raise ValueError(f"one of {', '.join(sorted(PAYMENT_KINDS))} or a Stripe payment method (pm_...) is needed")
    return value


PaymentMethod = Annotated[
    str,
    Field(strict=True, max_length=253, description="credit_card, card, debit_card, or a Stripe id (pm_...)"),
    AfterValidator(_payment_method),
]
Country = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{2}$")]


class ShippingAddress(Body):
    name: Text200 | None = None
    street1: Text200
    street2: Text200 | None = None
    city: Text200
    state: Text40 | None = None
    zip: Text40
    country: Country = Field(description="ISO 3166-1 alpha-2")
    phone: Text40 | None = None


class ItemWanted(Body):
    product_id: Identifier
    quantity: Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]


class OrderWanted(Body):
    """A checkout. Prices come from the catalogue, never from here."""

    model_config = ConfigDict(json_schema_extra={"examples": [REFERENCE_ORDER, FULL_ORDER]})

    customer_id: Identifier
    items: list[ItemWanted] = Field(min_length=1, max_length=MAX_LINES)
    payment_method: PaymentMethod
    ship_not_before: Annotated[Time, AfterValidator(not_too_far_ahead)] | None = None
    shipping_address: ShippingAddress | None = None
    expected_total: Amount | None = Field(
        default=None, description="the order is refused (409) when the catalogue says otherwise"
    )
    currency: Currency | None = None
    shipping_option: ShippingOptionName | None = Field(
        default=None, description="one that the shop's rates have for the address; the cheapest one without it"
    )
    coupon_codes: list[CouponCode] = Field(default=[], max_length=MAX_COUPONS, description="in any case")
    metadata: Metadata = Field(default={})

    def fingerprint(self) -> str:
        """SHA-256 of what the client asked for, the same however the JSON was written; defaults do not count."""
        asked = self.model_dump(mode="json", exclude_defaults=True, exclude={"expected_total"})
        if self.expected_total is not None:
            asked["expected_total"] = f"{self.expected_total:.3f}"
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def to_place(self, order_id: str, key: str | None, settings: Settings, placed_by: str | None = None) -> NewOrder:
        """The order that this asks for, under its id and the Idempotency-Key of the principal who places it."""
        address = self.shipping_address
        return NewOrder(
            order_id=order_id,
            key=key,
            fingerprint=self.fingerprint(),
            customer_id=self.customer_id,
            items=[Pieces(item.product_id, item.quantity) for item in self.items],
            payment_method=stripe_method(self.payment_method, is_live=settings.stripe_is_live),
            placed_by=placed_by,
            currency=self.currency,
            expected_total=self.expected_total,
            ship_not_before=self.ship_not_before,
            shipping_address=address.model_dump(exclude_none=True) if address else None,
            metadata=self.metadata,
            shipping_option=self.shipping_option,
            coupon_codes=sorted(set(self.coupon_codes)),
        )


class PaymentWanted(Body):
    """Another payment method, after a decline."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"paymentMethod": "pm_card_mastercard"}]})

    payment_method: PaymentMethod


class DropWanted(Body):
    """Why a line cannot be shipped."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "broken in the warehouse"}]})

    reason: Text500 | None = None
    by: Text40 | None = None


class CancelWanted(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "changed my mind"}]})

    reason: Annotated[Text500, Field(max_length=REASON_LENGTH)] | None = None
    by: Text40 | None = None


class ParcelView(Wire):
    """`status` is where the carrier last said that the parcel is; `updatedAt` when our book of it last changed."""

    carrier: str | None
    tracking_number: str
    status: str
    updated_at: datetime


class TimelineRow(Wire):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    sequence: int
    at: datetime
    from_: OrderStatus | None = Field(alias="from")
    to: OrderStatus
    what: str
    by: str | None = Field(default=None, exclude_if=unset)


class OrderLinks(Wire):
    self: str
    events: str
    temporal: str


class OrderSummary(Wire):
    order_id: str
    status: OrderStatus
    payment_status: PaymentStatus
    customer_id: str
    currency: str
    items: list[OrderItem]
    subtotal: str = Field(description="of the lines before discounts", examples=["128.99"])
    discounts: list[DiscountView]
    shipping_fee: str = Field(description="before a discount of it", examples=["5.95"])
    shipping_option: str | None = Field(default=None, exclude_if=unset, examples=["standard"])
    taxes: list[TaxView]
    total_amount: str = Field(description="a decimal string", examples=["279.98"])
    captured_amount: str | None = Field(
        default=None, exclude_if=unset, description="what was taken, where that is not the total", examples=["20.00"]
    )
    refunded_amount: str | None = Field(
        default=None, exclude_if=unset, description="what was given back, a decimal string", examples=["5.00"]
    )
    shipment: ParcelView | None = Field(default=None, exclude_if=unset)
    ship_not_before: datetime | None = Field(default=None, exclude_if=unset)
    metadata: dict[str, str] = Field(default={}, exclude_if=unset)
    refusal: dict[str, str] | None = Field(
        default=None,
        exclude_if=unset,
        description="why a REJECTED order was refused, or the card of one that waits for another (`retryUntil`)",
    )
    hold: str | None = Field(
        default=None,
        exclude_if=unset,
        description="review, dispute or refunded: unshipped goods stay here",
    )
    needs_attention: bool
    waits_for: str | None = Field(
        default=None,
        exclude_if=unset,
        description="the fault of ours that holds it up until it is mended: the `subject` of its ticket",
        examples=["carrier HTTP 402 PAYMENT_REQUIRED"],
    )
    created_at: datetime
    updated_at: datetime
    version: int
    links: OrderLinks


class OrderView(OrderSummary):
    timeline: list[TimelineRow]
    refused_cancels: dict[str, int] = Field(
        default={},
        exclude_if=unset,
        description="how many cancels were refused, by code; the timeline has one row of each",
        examples=[{"already_shipped": 3}],
    )


class OrderAnswer(OrderView):
    """The answer of a checkout; `clientSecret` only while the customer has to act (3-D Secure)."""

    client_secret: str | None = None


class OrderList(Wire):
    orders: list[OrderSummary]
    next_cursor: str | None


class OrderEvents(Wire):
    order_id: str
    events: list[TimelineRow]


class CancelDecision(Wire):
    """What became of a wish to cancel; `pending` means that the decision is still to come."""

    order_id: str
    accepted: bool | None
    decision: str = Field(examples=["accepted"])
    code: str = Field(examples=["cancel_accepted"])
    status: OrderStatus
    links: OrderLinks


class OrderQuery(Body):
    """The filters of the list of orders."""

    status: OrderStatus | None = None
    customer_id: Identifier | None = None
    product_id: Identifier | None = None
    from_: Time | None = Field(default=None, alias="from", description="placed at or after")
    to: Time | None = Field(default=None, description="placed before")
    cursor: str | None = Field(default=None, max_length=500)
    limit: Annotated[int, Field(ge=1, le=100)] = 20
