"""Stores events of the far ends once each, whoever brings them: a webhook, or the list that is read on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.dialects.postgresql import Insert, insert

from adapters.clock import now
from domain.webhooks import Arrived
from services.inbox.tables import InboxEvent

LEASE = timedelta(seconds=10)
"""How long a claim holds that is not renewed; after a failed follow-up also the pause until the next one."""

NOBODY = timedelta(hours=1)
"""How long ago an event counts as claimed that nobody has: longer than any lease and any difference of clocks."""

inbox = InboxEvent.__table__  # type: ignore[attr-defined]


def store(events: Sequence[Arrived]) -> Insert:
    """A statement that stores the events for a relay to claim; its row count says how many of them are new."""
    at = now()
    rows = [
        {
            "source": event.source,
            "event_id": event.event_id,
            "type": event.type,
            "object_id": event.object_id or "",
            "received_at": at,
            "attempted_at": at - NOBODY,
            "processed_at": None if event.object_id else at,
        }
        for event in events
    ]
    return insert(inbox).values(rows).on_conflict_do_nothing()
