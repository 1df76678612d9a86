"""The event archive: what was published, kept for good. Rows are only added; an old month is dropped as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.cloud_events import CloudEvent

_ADD = text("""
    INSERT INTO event_archive (time, event_id, source, subject, sequence, partition, type, traceparent, data)
    SELECT time, id, source, subject, sequence, partition, type, traceparent, data
      FROM json_to_recordset(CAST(:events AS json))
        AS new (time timestamptz, id text, source text, subject text, sequence bigint, partition int, type text,
                traceparent text, data jsonb)
        ON CONFLICT (event_id, time) DO NOTHING
""")
_READ = """
    SELECT event_id, type, source, subject, sequence, time, traceparent, data FROM event_archive
     WHERE time >= :since AND (CAST(:partition AS int) IS NULL OR partition = :partition) {after}
     ORDER BY source, subject, sequence LIMIT :most
"""
_FROM_START = text(_READ.format(after=""))
_AFTER = text(_READ.format(after="AND (source, subject, sequence) > (:source, :subject, :sequence)"))
_OF_SUBJECT = text("""
    SELECT event_id, type, source, subject, sequence, time, traceparent, data FROM event_archive
     WHERE source = :source AND subject = :subject AND sequence > :after ORDER BY sequence LIMIT :most
""")
_MAKE_MONTH = text("SELECT make_archive_month(CAST(:month AS date))")

ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Cursor(NamedTuple):
    """The last event that was read: the archive is read subject by subject, each in order."""

    source: str
    subject: str
    sequence: int

    @classmethod
    def of(cls, event: CloudEvent) -> Cursor:
        """The cursor that stands at an event."""
        return cls(event.source, event.subject, event.sequence)


async def add(connection: AsyncConnection, events: Sequence[tuple[int, CloudEvent]]) -> int:
    """Keeps events, each with its partition; how many are new. Their months have to be there (`make_months`)."""
    rows = [{**event.model_dump(), "partition": partition} for partition, event in events]
    return (await connection.execute(_ADD, {"events": to_json(rows).decode()})).rowcount


async def make_months(engine: AsyncEngine, months: Sequence[date]) -> None:
    """Makes the partitions of months, each named by its first day; one that is there stays.

    The tables' owner makes them (`make_archive_month`, in the migrations): the relay may add rows and nothing else.
    """
    for month in months:
        async with engine.begin() as connection:
            await connection.execute(_MAKE_MONTH, {"month": month})


async def read(
    connection: AsyncConnection,
    after: Cursor | None = None,
    *,
    since: datetime = ALL_TIME,
    partition: int | None = None,
    most: int = 500,
) -> list[CloudEvent]:
    """The next events after a cursor, subject by subject: of all partitions or of one, not older than `since`."""
    wanted = {"since": since, "partition": partition, "most": most}
    if after is None:
        rows = await connection.execute(_FROM_START, wanted)
    else:
        rows = await connection.execute(_AFTER, wanted | after._asdict())
    return [_event(row) for row in rows]


async def read_all(connection: AsyncConnection, most: int = 500) -> AsyncIterator[list[CloudEvent]]:
    """The whole archive in pages of `most` events."""
    page = await read(connection, most=most)
    while page:
        yield page
        page = await read(connection, Cursor.of(page[-1]), most=most)


async def of_subject(
    connection: AsyncConnection, source: str, subject: str, after: int = 0, most: int = 500
) -> list[CloudEvent]:
    """The events of one subject whose sequence is greater than `after`, in order."""
    wanted = {"source": source, "subject": subject, "after": after, "most": most}
    return [_event(row) for row in await connection.execute(_OF_SUBJECT, wanted)]


def month_of(event: CloudEvent) -> date:
    """The first day of the month whose partition holds the event."""
    return event.time.astimezone(UTC).date().replace(day=1)


def _event(row: Row[Any]) -> CloudEvent:
    """The rows were events when they were added: they are not checked again."""
    event_id, type_, source, subject, sequence, time, traceparent, data = tuple(row)
    return CloudEvent.model_construct(
        id=event_id, type=type_, source=source, subject=subject, sequence=sequence, time=time,
        traceparent=traceparent, data=data,
    )  # fmt: skip
