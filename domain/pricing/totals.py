"""An order's sum: what every line costs in the end, the fee, the tax, and the total of it all. Never below 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from domain.pricing.lanes import Discount, left_of
from domain.pricing.lines import PricedLine, subtotal
from domain.pricing.taxes import Tax
from domain.pricing.units import Paid


class AdjustmentKind(StrEnum):
    """What a part of a total beside the prices is."""

    DISCOUNT = "discount"
    FEE = "fee"
    TAX = "tax"


class LineSum(NamedTuple):
    """What one line comes to, in minor units; `tax` is None where nothing is taxed."""

    discount: int
    net: int  # after the discount
    tax: Tax | None = None

    def paid(self, quantity: int) -> Paid:
        """What the customer pays for the line of `quantity` pieces."""
        return Paid(self.net, self.tax.added if self.tax else 0, quantity)


class FeeSum(NamedTuple):
    """What shipping comes to, in minor units: the fee before its discount, and the tax on what is left of it."""

    fee: int = 0
    discount: int = 0
    tax: Tax | None = None

    @property
    def paid(self) -> int:
        """What the customer pays for shipping, in minor units, tax on top included."""
        return self.fee - self.discount + (self.tax.added if self.tax else 0)


NO_FEE = FeeSum()


@dataclass(frozen=True)
class Totals:
    """The parts of a total, in minor units: total = subtotal - discount + fee + added tax."""

    lines: tuple[LineSum, ...]
    shipping: FeeSum
    subtotal: int
    discount: int  # of goods and shipping together
    added_tax: int  # what comes on top; tax that prices contain is part of them
    total: int


def sum_up(
    lines: Sequence[PricedLine],
    discounts: Sequence[Discount] = (),
    *,
    shipping: FeeSum = NO_FEE,
    taxes: Sequence[Tax | None] = (),
) -> Totals:
    """Adds everything up; `discounts` are of the goods, `taxes` has one for each line where there is tax at all."""
    left = left_of(lines, discounts)
    sums = tuple(
        LineSum(line.amount - net, net, tax)
        for line, net, tax in zip(lines, left, taxes or [None] * len(lines), strict=True)
    )
    before, net = subtotal(lines), sum(left)
    added = sum(tax.added for tax in (*taxes, shipping.tax) if tax is not None)
    discount = before - net + shipping.discount
    return Totals(sums, shipping, before, discount, added, before - discount + shipping.fee + added)
