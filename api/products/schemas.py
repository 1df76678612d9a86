"""What clients send and get about products."""

from __future__ import annotations

from decimal import Decimal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from api.http.fields import Amount, Body, Currency, Identifier, Text200, Wire
from api.inventory.schemas import OnHand
from domain.money import MAXIMUM_CHARGE, Money


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
