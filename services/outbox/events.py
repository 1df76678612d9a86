"""Rows of the outbox: the one place where an event becomes what the relay publishes."""

from __future__ import annotations

import uuid

from adapters.postgres.rows import new_row
from domain.events import EventData
from services.outbox.tables import OutboxEvent


def new_event_id() -> str:
    """The id of one event, by which its consumers know a repeat."""
    return str(uuid.uuid4())


def outbox_row(source: str, subject: str, sequence: int, data: EventData) -> OutboxEvent:
    """The row that the relay publishes as a CloudEvent (https://github.com/cloudevents/spec).

    `source` and `subject` name the stream of events, e.g. `/orders` and an order's id. `sequence` numbers the events
    of a stream without gaps: the caller has taken it under the lock of the row that it counts for.
    """
    return new_row(
        OutboxEvent,
        event_id=data.event_id,
        type=data.event_type.type,
        source=source,
        subject=subject,
        sequence=sequence,
        time=data.timestamp,
        data=data.model_dump(mode="json", by_alias=True, exclude_none=True),
    )
