"""Webhook events of Stripe and the carrier, as far as they are read: ids only, since the object is retrieved anew."""

from __future__ import annotations

from typing import NamedTuple


class Arrived(NamedTuple):
    """An event as it came: what it says beyond these ids is not believed."""

    source: str
    event_id: str
    type: str
    object_id: str | None  # None: nothing to follow up
