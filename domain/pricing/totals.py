"""An order's sum: what every line costs in the end, the fee, the tax, and the total of it all. Never below 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.pricing.lanes import Discount, left_of
from domain.pricing.lines import PricedLine, subtotal
from domain.pricing.taxes import TaxRate
from domain.pricing.units import Paid


class LineSum(NamedTuple):
    """What one line comes to, in minor units; `rate` is None where nothing is taxed."""

    discount: int
    net: int  # after the discount
    tax: int = 0
    rate: TaxRate | None = None

    def paid(self, quantity: int) -> Paid:
        """What the customer pays for the line of `quantity` pieces."""
        return Paid(self.net, self.rate.added(self.tax) if self.rate else 0, quantity)


class FeeSum(NamedTuple):
    """What shipping comes to, in minor units: the fee before its discount, and the tax on what is left of it."""

    fee: int = 0
    discount: int = 0
    tax: int = 0
    rate: TaxRate | None = None

    @property
    def paid(self) -> int:
        """What the customer pays for shipping, in minor units, tax on top included."""
        return self.fee - self.discount + (self.rate.added(self.tax) if self.rate else 0)


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
    fee: int = 0,
    off_fee: int = 0,
    rates: Sequence[TaxRate | None] = (),
    fee_rate: TaxRate | None = None,
) -> Totals:
    """Adds everything up; `rates` has one for each line where there is tax at all."""
    left = left_of(lines, discounts)
    sums = tuple(
        _line(line, net, rate) for line, net, rate in zip(lines, left, rates or [None] * len(lines), strict=True)
    )
    tax = fee_rate.of(fee - off_fee) if fee_rate else 0
    shipping = FeeSum(fee, off_fee, tax, fee_rate)
    before = subtotal(lines)
    paid = sum(one.paid(line.quantity).total for one, line in zip(sums, lines, strict=True))
    discount = before - sum(left) + off_fee
    total = paid + shipping.paid
    return Totals(sums, shipping, before, discount, total - before + discount - fee, total)


def _line(line: PricedLine, net: int, rate: TaxRate | None) -> LineSum:
    return LineSum(line.amount - net, net, rate.of(net) if rate else 0, rate)
