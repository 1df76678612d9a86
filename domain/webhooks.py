"""Webhook events of Stripe and the carrier, as far as they are read: ids only, since the object is retrieved anew."""

from __future__ import annotations

from typing import NamedTuple


class Arrived(NamedTuple):
    """An event as the inbox stores it.

    `source` is `stripe` or `carrier`, `type` the sender's own name of the event, `object_id` the id of the object
    that it is about.
    """

    source: str
    event_id: str
    type: str
    object_id: str | None  # None: nothing to follow up
