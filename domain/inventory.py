"""The states of what an order reserves."""

from __future__ import annotations

from enum import StrEnum


class ReservationState(StrEnum):
    """What has become of the pieces that an order reserved of one product."""

    HELD = "held"  # they count as reserved, and nobody else can have them
    RELEASED = "released"  # they are free again
    SHIPPED = "shipped"  # they have left the stock


class HintKind(StrEnum):
    """What a change of a product's stock means to those who sell or buy it."""

    LOW = "low"  # few pieces are left, or none
    BACK_IN_STOCK = "back_in_stock"  # there was none, and there is one


def hint_of(before: int, on_hand: int, low: int) -> HintKind | None:
    """What a change from `before` to `on_hand` pieces means, where `low` or fewer are few; None for nothing new.

    Each kind is told when the line is crossed, and not again until it is crossed the next time.
    """
    if before <= 0 < on_hand:
        return HintKind.BACK_IN_STOCK
    return HintKind.LOW if before > low >= on_hand else None
