"""Which promotions win: one in each lane, the best for the customer; who loses takes nothing and uses nothing up.

In the line lane each line has a winner of its own. Of two that are equally good an automatic one goes first, so that
nobody gives a coupon away for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.pricing.lines import PricedLine
from domain.pricing.promotions import Lane, Promotion


@dataclass(frozen=True)
class Discount:
    """What a promotion has won: an amount, and how it lies on the lines (on none of them in the shipping lane)."""

    promotion: Promotion
    amount: int
    shares: tuple[int, ...] = ()


def off_the_goods(lines: Sequence[PricedLine], promotions: Iterable[Promotion]) -> list[Discount]:
    """The winners of the line lane, then the one of the order lane; all promotions given apply to these lines."""
    ranked = sorted(promotions, key=_first)
    won = _line_lane(lines, [one for one in ranked if one.lane is Lane.LINE])
    left = left_of(lines, won)
    offers = [_discount(one, one.off(lines, left)) for one in ranked if one.lane is Lane.ORDER]
    best = max(offers, key=lambda offer: offer.amount, default=None)  # the first of equals
    if best is not None and best.amount:
        won.append(best)
    return won


def off_the_fee(fee: int, promotions: Iterable[Promotion]) -> Discount | None:
    """The winner of the shipping lane; None where there is no fee or no promotion of it."""
    offers = [one for one in sorted(promotions, key=_first) if one.lane is Lane.SHIPPING]
    return Discount(offers[0], offers[0].amount(fee)) if offers and fee else None


def left_of(lines: Sequence[PricedLine], won: Iterable[Discount]) -> list[int]:
    """What is left of each line's amount."""
    left = [line.amount for line in lines]
    for discount in won:
        for index, share in enumerate(discount.shares):
            left[index] -= share
    return left


def _line_lane(lines: Sequence[PricedLine], promotions: Sequence[Promotion]) -> list[Discount]:
    amounts = [line.amount for line in lines]
    offers = [promotion.off(lines, amounts) for promotion in promotions]
    shares = [[0] * len(lines) for _ in promotions]
    for index in range(len(lines) if promotions else 0):
        best = max(range(len(promotions)), key=lambda number: offers[number][index])  # the first of equals
        shares[best][index] = offers[best][index]
    won = [_discount(promotion, own) for promotion, own in zip(promotions, shares, strict=True)]
    return [discount for discount in won if discount.amount]


def _discount(promotion: Promotion, shares: Sequence[int]) -> Discount:
    return Discount(promotion, sum(shares), tuple(shares))


def _first(promotion: Promotion) -> tuple[bool, str, str]:
    return promotion.coupon is not None, promotion.promotion_id, promotion.coupon or ""
