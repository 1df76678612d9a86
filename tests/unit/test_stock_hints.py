"""Hints about stock: told when a line is crossed."""

from __future__ import annotations

import pytest

from domain.inventory import HintKind, hint_of


@pytest.mark.parametrize(
    ("before", "on_hand", "hint"),
    [
        (10, 6, None),
        (6, 5, HintKind.LOW),
        (5, 4, None),
        (9, 0, HintKind.LOW),
        (0, 1, HintKind.BACK_IN_STOCK),
        (0, 100, HintKind.BACK_IN_STOCK),
        (1, 100, None),
        (0, 0, None),
    ],
)
def test_tells_each_crossing_once(before: int, on_hand: int, hint: HintKind | None) -> None:
    """Few are five or fewer here; what stays on its side of the line is no news."""
    assert hint_of(before, on_hand, low=5) is hint
