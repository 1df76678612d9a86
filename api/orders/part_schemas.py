"""The parts of an order's total as clients get them: its lines, discounts, fee and taxes."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.http.fields import Wire


def _no(value: bool) -> bool:
    return not value


def unset(value: Any) -> bool:
    return value is None or value == {}


class OrderItem(Wire):
    product_id: str
    quantity: int
    price: str = Field(description="of one piece, a decimal string", examples=["79.99"])
    discount: str | None = Field(default=None, exclude_if=unset, description="off the line", examples=["8.00"])
    tax: str | None = Field(
        default=None, exclude_if=unset, description="of the line after its discount", examples=["5.94"]
    )
    dropped: bool = Field(default=False, exclude_if=_no, description="taken out of the order: it cannot be shipped")


class DiscountView(Wire):
    name: str = Field(description="of the promotion, as it was at the checkout", examples=["Save 10 %"])
    code: str | None = Field(default=None, exclude_if=unset, description="of the coupon", examples=["SAVE10"])
    amount: str = Field(examples=["12.90"])


class TaxView(Wire):
    rate: str = Field(description="in percent", examples=["8.25"])
    amount: str = Field(examples=["9.58"])
    inclusive: bool = Field(description="whether the prices contain it; else it comes on top")
