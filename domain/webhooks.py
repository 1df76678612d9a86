"""Events of the far ends, as far as they are read: ids only."""

from __future__ import annotations

from typing import NamedTuple


class Arrived(NamedTuple):
    source: str
    event_id: str
    type: str
    object_id: str | None  # None: nothing to follow up
