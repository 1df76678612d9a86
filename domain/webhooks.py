"""Webhook events of Stripe and the carrier, as far as they are read: ids, and whether they may be an echo.

The object of an event that tells something new is retrieved anew.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from domain.echoes import Echo


class Source(StrEnum):
    """Who sends webhooks."""

    STRIPE = "stripe"
    CARRIER = "carrier"


class Arrived(NamedTuple):
    """An event as it came: what it says beyond these ids never changes our books."""

    source: str
    event_id: str
    type: str
    object_id: str | None  # None: nothing to follow up
    echo: Echo | None = None  # what our books have to say for it to tell nothing new; None: it is always news
