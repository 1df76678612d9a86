"""How an amount that does not come out even is rounded and split: whole minor units, and the sum is always exact."""

from __future__ import annotations

from collections.abc import Sequence

MILLION = 1_000_000
"""Rates and percentages are parts per million: 8.25 % is 82,500. So nothing is a float, and 0.0001 % is exact."""


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
