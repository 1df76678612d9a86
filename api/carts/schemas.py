"""What clients send about carts, and what they get."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from adapters.settings import Settings
from api.http.fields import Amount, Body, CouponCode, Identifier, Metadata, ShippingOptionName, Text40, Time, Wire
from api.orders.part_schemas import DiscountView, unset
from api.orders.schemas import Country, PaymentMethod, ShippingAddress, not_too_far_ahead
from domain.carts import Availability, CartState, bad_quantity
from domain.errors import bad_fields
from domain.limits import MAX_QUANTITY
from domain.payment_methods import stripe_method
from services.carts.checkout import Contents
from services.orders.placement import NewOrder


def _whole_pieces(value: Any) -> Any:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(MAX_QUANTITY)):
        value = int(value)  # of a query
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_QUANTITY:
        raise bad_quantity(f"a whole number of pieces from 1 to {MAX_QUANTITY} is needed")
    return value


Quantity = Annotated[
    int, BeforeValidator(_whole_pieces, json_schema_input_type=int), Field(ge=1, le=MAX_QUANTITY, examples=[2])
]


class CartWanted(Body):
    """Whose cart it is; a guest's without a customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customerId": "001"}, {}]})

    customer_id: Identifier | None = None


class PiecesWanted(Body):
    """More pieces of a product."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"productId": "456", "quantity": 2}]})

    product_id: Identifier
    quantity: Quantity


class PiecesUnwanted(Body):
    """Fewer pieces of a product; without a quantity none of it any more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"productId": "456", "quantity": 1}]})

    product_id: Identifier
    quantity: Quantity | None = None


class PiecesUnwantedQuery(Body):
    """The same as a query."""

    product_id: Identifier | None = None
    quantity: Quantity | None = None

    def or_body(self, body: PiecesUnwanted | None) -> PiecesUnwanted:
        """What is asked for, by exactly one of the two. Raises InvalidInput."""
        by_query = PiecesUnwanted(product_id=self.product_id, quantity=self.quantity) if self.product_id else None
        found = body or by_query
        if found is None or (body and by_query):
            raise bad_fields({"product_id": "a product is needed, in the query or in the body"})
        return found


class QuantityWanted(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"quantity": 3}]})

    quantity: Quantity


class CouponWanted(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "SAVE10"}]})

    code: CouponCode


class MergeWanted(Body):
    """The cart whose lines are to come here, e.g. that of a guest who has logged in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from": "c1d2e3f405162738495a6b7c8d9e0f10"}]})

    from_: Identifier = Field(alias="from")


class Destination(Body):
    """Where a cart would be sent: shows its fee and tax, where the shop has any."""

    country: Country | None = None
    state: Text40 | None = None
    zip: Text40 | None = None
    shipping_option: ShippingOptionName | None = None

    def address(self) -> dict[str, str] | None:
        return self.model_dump(exclude_none=True, exclude={"shipping_option"}) if self.country else None


class CheckoutWanted(Body):
    """An order of what is in the cart, for the total that the customer has seen."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"paymentMethod": "pm_card_visa", "expectedTotal": "49.00"}]}
    )

    payment_method: PaymentMethod
    expected_total: Amount = Field(description="another total is refused (409 total-changed)")
    shipping_address: ShippingAddress | None = None
    shipping_option: ShippingOptionName | None = None
    ship_not_before: Annotated[Time, AfterValidator(not_too_far_ahead)] | None = None
    metadata: Metadata = Field(default={})

    def fingerprint(self, cart_id: str) -> str:
        """SHA-256 of what the client asked for, the same however the JSON was written."""
        asked = self.model_dump(mode="json", exclude_defaults=True, exclude={"expected_total"})
        asked |= {"cart": cart_id, "expected_total": f"{self.expected_total:.3f}"}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def to_place(self, cart: Contents, settings: Settings, placed_by: str | None) -> NewOrder:
        """The order of the cart that this asks for."""
        address = self.shipping_address
        return NewOrder(
            order_id=cart.order_id,
            placed_by=placed_by,
            key=None,  # it is the cart's, which knows the checkout again
            fingerprint=self.fingerprint(cart.cart_id),
            customer_id=cart.customer_id,
            items=cart.items,
            payment_method=stripe_method(self.payment_method, is_live=settings.stripe_is_live),
            expected_total=self.expected_total,
            ship_not_before=self.ship_not_before,
            shipping_address=address.model_dump(exclude_none=True) if address else None,
            metadata=self.metadata,
            shipping_option=self.shipping_option,
            coupon_codes=cart.coupon_codes,
            cart_id=cart.cart_id,
        )


class PriceChange(Wire):
    was: str = Field(description="of one piece, when the line was changed last", examples=["24.50"])
    now: str = Field(examples=["27.00"])


class CartItem(Wire):
    product_id: str
    name: str
    quantity: int
    price: str = Field(description="of one piece, now", examples=["24.50"])
    amount: str = Field(description="quantity x price", examples=["49.00"])
    discount: str = Field(description="off the line", examples=["4.90"])
    availability: Availability = Field(description="a hint: a cart holds nothing")
    price_change: PriceChange | None = Field(default=None, exclude_if=unset)


class CouponRefusal(Wire):
    code: str = Field(examples=["expired"])
    detail: str = Field(examples=["Save 10 % ended on 2026-01-31 00:00 UTC"])


class CartSummary(Wire):
    cart_id: str
    customer_id: str | None = Field(default=None, exclude_if=unset)
    state: CartState
    currency: str | None = Field(description="of its lines; null while it is empty")
    version: int
    coupon: str | None = Field(default=None, exclude_if=unset)
    order_id: str | None = Field(default=None, exclude_if=unset, description="that was placed from it")
    pieces: int
    created_at: datetime
    touched_at: datetime


class CartList(Wire):
    carts: list[CartSummary]
    next_cursor: str | None


class CartView(Wire):
    cart_id: str | None = Field(default=None, exclude_if=unset, description="absent while there is no cart")
    customer_id: str | None = Field(default=None, exclude_if=unset)
    state: CartState
    currency: str | None = Field(description="of its lines; null while it is empty")
    version: int = Field(description="also the ETag; 0 while there is no cart")
    items: list[CartItem]
    coupon: str | None = Field(default=None, exclude_if=unset)
    coupon_refusal: CouponRefusal | None = Field(
        default=None, exclude_if=unset, description="why the coupon takes nothing off; a checkout is refused for it"
    )
    subtotal: str = Field(description="before discounts", examples=["49.00"])
    discounts: list[DiscountView]
    shipping_fee: str | None = Field(
        description="null where it depends on an address that is not known", examples=["5.95"]
    )
    tax: str | None = Field(description="what comes on top of the prices; null as the fee is", examples=["0.00"])
    total: str = Field(description="without what is null", examples=["49.00"])
    order_id: str | None = Field(default=None, exclude_if=unset, description="that was placed from it")
    merged_into: str | None = Field(default=None, exclude_if=unset, description="the cart that has its lines now")
    touched_at: datetime | None = Field(default=None, exclude_if=unset)


class CartQuery(Body):
    """Which carts a list has: those of a state, the last touched first."""

    state: CartState = CartState.OPEN
    customer_id: Identifier | None = None
    cursor: str | None = Field(default=None, max_length=500)
    limit: Annotated[int, Field(ge=1, le=100)] = 20
