"""Stores events of the far ends once each, whoever brings them: a webhook, or the list that is read on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.dialects.postgresql import Insert, insert

from adapters.clock import now
from domain.webhooks import Arrived
from services.inbox.tables import InboxEvent

NOBODY = timedelta(hours=1)  # since when nobody has had such an event: longer than any process would keep one

inbox = InboxEvent.__table__  # type: ignore[attr-defined]


def store(events: Sequence[Arrived], *, taken_on: bool = True) -> Insert:
    """A statement whose row count says how many of the events are new.

    An event that nobody has taken on is followed up by the inbox's next sweep.
    """
    at = now()
    rows = [
        {
            "source": event.source,
            "event_id": event.event_id,
            "type": event.type,
            "object_id": event.object_id or "",
            "received_at": at,
            "attempted_at": at if taken_on else at - NOBODY,
            "processed_at": None if event.object_id else at,
        }
        for event in events
    ]
    return insert(inbox).values(rows).on_conflict_do_nothing()
