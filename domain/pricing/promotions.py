"""A promotion: what it takes off, from what, and in words why it does not apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain.money import Money
from domain.pricing.lines import PricedLine, subtotal
from domain.pricing.rounding import MILLION, allocate, half_up


class PromotionKind(StrEnum):
    """What a promotion does."""

    PERCENT = "percent"
    FIXED = "fixed"
    BUY_X_GET_Y = "buy_x_get_y"
    FREE_SHIPPING = "free_shipping"


class Scope(StrEnum):
    """What it looks at: the whole order, or the lines of some products."""

    ORDER = "order"
    PRODUCTS = "products"


class Lane(StrEnum):
    """Where a promotion competes. Lanes are gone through in this order, each over what the one before has left."""

    LINE = "line"
    ORDER = "order"
    SHIPPING = "shipping"


class Unfit(NamedTuple):
    """Why a promotion does not apply to an order: a stable code, and words for the customer."""

    code: str
    words: str


@dataclass(frozen=True)
class Promotion:
    """A promotion as it stands now; `coupon` is the code by which it came, None for an automatic one.

    `value` is parts per million for a percentage and minor units of `currency` for a fixed amount. Of `buy` + `get`
    pieces of one product, `get` are free. `min_subtotal` (minor units) is about the lines in its scope.
    """

    promotion_id: str
    name: str
    kind: PromotionKind
    currency: str
    scope: Scope = Scope.ORDER
    value: int = 0
    buy: int = 0
    get: int = 0
    product_ids: frozenset[str] = frozenset()
    min_subtotal: int = 0
    starts: datetime | None = None
    ends: datetime | None = None
    active: bool = True
    coupon: str | None = None

    @property
    def lane(self) -> Lane:
        """Where it competes."""
        if self.kind is PromotionKind.FREE_SHIPPING:
            return Lane.SHIPPING
        return Lane.LINE if self.scope is Scope.PRODUCTS or self.kind is PromotionKind.BUY_X_GET_Y else Lane.ORDER

    def covers(self, line: PricedLine) -> bool:
        """Whether the line is in its scope."""
        return self.scope is Scope.ORDER or line.product_id in self.product_ids

    def unfit(self, lines: Sequence[PricedLine], currency: str, now: datetime) -> Unfit | None:
        """Why it does not apply to these lines at this moment; None where it does."""
        if not self.active:
            return Unfit("ended", f"{self.name} is over")
        if self.starts is not None and now < self.starts:
            return Unfit("not_started", f"{self.name} begins on {self.starts:%Y-%m-%d %H:%M} UTC")
        if self.ends is not None and now >= self.ends:
            return Unfit("expired", f"{self.name} ended on {self.ends:%Y-%m-%d %H:%M} UTC")
        if self._needs_currency and currency != self.currency:
            return Unfit(
                "other_currency", f"{self.name} is for orders in {self.currency}, and this one is in {currency}"
            )
        covered = [line for line in lines if self.covers(line)]
        if not covered:
            return Unfit("no_such_products", f"{self.name} is for other products")
        if (found := subtotal(covered)) < self.min_subtotal:
            least, there = (Money(minor=minor, currency=currency) for minor in (self.min_subtotal, found))
            return Unfit("below_minimum", f"{self.name} needs {least} at least, and there are {there}")
        if self.kind is PromotionKind.BUY_X_GET_Y and not any(self._free_pieces(line) for line in covered):
            return Unfit("too_few_pieces", f"{self.name} needs {self.buy + self.get} pieces of one product")
        return None

    @property
    def _needs_currency(self) -> bool:
        return self.kind is PromotionKind.FIXED or self.min_subtotal > 0

    def _free_pieces(self, line: PricedLine) -> int:
        return line.quantity // (self.buy + self.get) * self.get

    def off(self, lines: Sequence[PricedLine], bases: Sequence[int]) -> list[int]:
        """What it takes off each line, where `bases` are left of them; in minor units, never more than is left."""
        if self.kind is PromotionKind.BUY_X_GET_Y:
            free = [self._free_pieces(line) * line.unit_price if self.covers(line) else 0 for line in lines]
            return [min(amount, base) for amount, base in zip(free, bases, strict=True)]
        weights = [base if self.covers(line) else 0 for line, base in zip(lines, bases, strict=True)]
        return allocate(self.amount(sum(weights)), weights)

    def amount(self, base: int) -> int:
        """What it takes off `base` minor units: a percentage is taken once, half up; never more than there is."""
        if self.kind is PromotionKind.FREE_SHIPPING:
            return base
        return min(base, self.value if self.kind is PromotionKind.FIXED else half_up(base * self.value, MILLION))
