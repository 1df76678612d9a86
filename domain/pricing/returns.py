"""What pieces that come back give back, over the lines of an order, with the fee behind the last of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from domain.pricing.units import Paid, due_back


class Given(NamedTuple):
    """What refunds of pieces have given back so far: pieces and minor units by product, and of the fee.

    Refunds that have failed gave nothing back, and are not part of it.
    """

    pieces: Counter[str]
    amounts: Counter[str]
    fee: int = 0


class Back(NamedTuple):
    """What a refund of pieces gives back, in minor units: by product, and of the fee."""

    amounts: dict[str, int]
    fee: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.amounts.values()) + self.fee


def worth_back(kept: Mapping[str, Paid], fee: int, given: Given, wanted: Mapping[str, int]) -> Back:
    """What the `wanted` pieces give back of an order whose lines, without dropped ones, are `kept`.

    `fee` is what was paid beside the lines. No more pieces may be wanted than are left.
    """
    amounts = {
        product_id: due_back(
            kept[product_id], back=given.pieces[product_id], given=given.amounts[product_id], count=count
        )
        for product_id, count in wanted.items()
    }
    is_all = all(given.pieces[name] + wanted.get(name, 0) == paid.quantity for name, paid in kept.items())
    return Back(amounts, fee - given.fee if is_all else 0)
