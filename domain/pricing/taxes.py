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


class Tax(NamedTuple):
    """A tax as a calculator gives it: the amount in minor units, and the rate that it comes from."""

    amount: int
    rate: TaxRate

    @property
    def added(self) -> int:
        """What the customer pays for it beside the price."""
        return self.rate.added(self.amount)

    @classmethod
    def by(cls, rate: TaxRate | None, amount: int) -> Tax | None:
        """The tax on an amount by a rate; None where there is none."""
        return cls(rate.of(amount), rate) if rate else None
