"""What clients send and get about products, stock and customers."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from api.http.fields import Amount, Body, Currency, Identifier, Text200, Wire, bad_fields
from domain.money import MAXIMUM_CHARGE, Money

MAX_ON_HAND = 1_000_000_000

OnHand = Annotated[int, Field(strict=True, ge=0, le=MAX_ON_HAND)]


def _address(value: str) -> str:
    """Catches what is plainly no address; whether mail arrives only a mail can tell."""
    local, at, domain = value.rpartition("@")
    if not (local and at and "." in domain.strip(".")) or not value.isprintable() or " " in value:
        raise ValueError("an e-mail address is needed, like alice@example.com")
    return value


class ProductWanted(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "productId": "001",
                    "name": "Wireless Headphones",
                    "price": "79.99",
                    "currency": "USD",
                    "onHand": 150,
                }
            ]
        }
    )

    product_id: Identifier
    name: Text200
    currency: Currency = "USD"  # before the price, whose check needs it
    price: Amount
    on_hand: OnHand = 0

    @field_validator("price")
    @classmethod
    def _fits_currency(cls, price: Decimal, info: ValidationInfo) -> Decimal:
        if "currency" in info.data and Money.parse(price, info.data["currency"]).minor > MAXIMUM_CHARGE:
            raise ValueError("above the largest chargeable amount")
        return price

    def money(self) -> Money:
        return Money.parse(self.price, self.currency)


class ProductView(Wire):
    product_id: str
    name: str
    price: str = Field(examples=["79.99"])
    currency: str
    on_hand: int


class ProductList(Wire):
    products: list[ProductView]
    next_cursor: str | None


class StockChange(Body):
    """Exactly one of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quantityChange": -5}, {"onHand": 150}]})

    quantity_change: Annotated[int, Field(strict=True, ge=-MAX_ON_HAND, le=MAX_ON_HAND)] | None = None
    on_hand: OnHand | None = None

    def level(self, before: int) -> int:
        """What will be on hand. Raises RequestRefused (422) unless exactly one of the two is given."""
        if (self.quantity_change is None) == (self.on_hand is None):
            raise bad_fields({"onHand": "exactly one of quantityChange and onHand is needed"})
        after = self.on_hand if self.quantity_change is None else before + self.quantity_change
        assert after is not None
        if after > MAX_ON_HAND:
            raise bad_fields({"quantityChange": f"there can be {MAX_ON_HAND} pieces at most"})
        return after


class StockView(Wire):
    product_id: str
    on_hand: int
    reserved: int
    available: int


class CustomerWanted(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"customerId": "001", "name": "Alice Johnson", "email": "alice.johnson@example.com"}]
        }
    )

    customer_id: Identifier
    name: Text200
    email: Annotated[str, StringConstraints(strict=True, min_length=3, max_length=254), AfterValidator(_address)]


class CustomerView(Wire):
    customer_id: str
    name: str
    email: str


class CustomerList(Wire):
    customers: list[CustomerView]
    next_cursor: str | None


class PageQuery(Body):
    cursor: str | None = Field(default=None, max_length=500)
    limit: Annotated[int, Field(ge=1, le=100)] = 20
