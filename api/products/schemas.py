"""What clients send and get about products."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from api.http.fields import Amount, Body, Currency, Identifier, Text200, Wire
from api.inventory.schemas import OnHand
from domain.money import MAXIMUM_CHARGE, Money
from domain.pricing.lines import STANDARD

TaxCategory = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9_-]{1,40}$")]


def _is_standard(category: str) -> bool:
    return category == STANDARD


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
    tax_category: TaxCategory = STANDARD

    @field_validator("price")
    @classmethod
    def _fits_currency(cls, price: Decimal, info: ValidationInfo) -> Decimal:
        if "currency" in info.data and Money.parse(price, info.data["currency"]).minor > MAXIMUM_CHARGE:
            raise ValueError("above the largest chargeable amount")
        return price

    def money(self) -> Money:
        return Money.parse(self.price, self.currency)


class ProductChanged(Body):
    """What changes of a product; what is left out stays. Orders keep the prices of their checkout."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"price": "27.00"}]})

    name: Text200 | None = None
    price: Amount | None = Field(default=None, description="in the product's currency", examples=["27.00"])
    tax_category: TaxCategory | None = None


class ProductView(Wire):
    product_id: str
    name: str
    price: str = Field(examples=["79.99"])
    currency: str
    tax_category: str = Field(default=STANDARD, exclude_if=_is_standard, description="by which its tax goes")
    on_hand: int


class ProductList(Wire):
    products: list[ProductView]
    next_cursor: str | None
