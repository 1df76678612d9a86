"""What is bought, before anything is taken off it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

STANDARD = "standard"
"""The tax category of a product that names no other."""


class PricedLine(NamedTuple):
    """All pieces of one product; the price of one piece in minor units of the order's currency."""

    product_id: str
    quantity: int
    unit_price: int
    tax_category: str = STANDARD

    @property
    def amount(self) -> int:
        """Quantity x price, in minor units."""
        return self.quantity * self.unit_price


def subtotal(lines: Iterable[PricedLine]) -> int:
    """What the lines cost together before discounts, in minor units."""
    return sum(line.quantity * line.unit_price for line in lines)
