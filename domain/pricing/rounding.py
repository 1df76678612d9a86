"""How an amount that does not come out even is rounded and split: whole minor units, and the sum is always exact."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

MILLION = 1_000_000
"""Rates and percentages are parts per million: 8.25 % is 82,500. So nothing is a float, and 0.0001 % is exact."""


def as_percent(ppm: int) -> str:
    """Parts per million as a percentage: 82,500 is "8.25", 200,000 is "20"."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".") if rest else str(whole)


def from_percent(percent: str | Decimal) -> int:
    """A percentage as parts per million. Raises ValueError for one below 0, above 100, or with over four decimals."""
    try:
        value = Decimal(percent)
    except InvalidOperation:
        raise ValueError(f"{percent!r} is not a decimal number") from None
    if not 0 <= value <= 100:
        raise ValueError("a percentage from 0 to 100 is needed")
    ppm = value * 10_000
    if ppm != ppm.to_integral_value():
        raise ValueError("a percentage has four decimals at most")
    return int(ppm)


def half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator`, neither below 0, as a whole number; a half goes up."""
    return (2 * numerator + denominator) // (2 * denominator)


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Splits `amount` in proportion to the weights: each share is rounded down, the largest remainders get one more.

    Of two equal remainders the lower index is first. The shares add up to `amount`, and none is above its weight
    where `amount` is not above their sum. Weights are 0 or more; a weight of 0 gets nothing. Raises ValueError for an
    amount that nobody can take.
    """
    whole = sum(weights)
    if not whole:
        if amount:
            raise ValueError(f"{amount} cannot be split: all weights are 0")
        return [0] * len(weights)
    shares = [amount * weight // whole for weight in weights]
    left = amount - sum(shares)
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(amount * weights[index] % whole), index))
    for index in by_remainder[:left]:
        shares[index] += 1
    return shares
