"""Tax on an amount: a part of the price, or on top of it. Per line, after discounts, half up."""

from __future__ import annotations

from typing import NamedTuple

from domain.pricing.rounding import MILLION, half_up


class TaxRate(NamedTuple):
    """A rate in parts per million; `inclusive`: prices contain the tax, else it comes on top.

    `source` says whose rate it is: a place and a category of the table, or the id of a provider's answer.
    """

    ppm: int
    inclusive: bool = False
    source: str = ""

    def of(self, amount: int) -> int:
        """The tax in (inclusive) or on an amount after discounts; all in minor units."""
        return half_up(amount * self.ppm, MILLION + self.ppm if self.inclusive else MILLION)

    def added(self, tax: int) -> int:
        """What the customer pays for such a tax beside the price."""
        return 0 if self.inclusive else tax
