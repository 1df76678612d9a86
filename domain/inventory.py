"""The states of what an order reserves."""

from __future__ import annotations

from enum import StrEnum


class ReservationState(StrEnum):
    """What has become of the pieces that an order reserved of one product."""

    HELD = "held"  # they count as reserved, and nobody else can have them
    RELEASED = "released"  # they are free again
    SHIPPED = "shipped"  # they have left the stock
