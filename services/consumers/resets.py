"""Sends a consumer back: to a time, from when it reads the archive again, or to a position of a partition's stream.

Its sequences are forgotten, so that what comes again is applied again; its effects have to bear that. Whoever owns
the partition notices within a second that its position was written by somebody else, and goes on from there.
"""

from __future__ import annotations

from datetime import datetime

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.bus.port import partition_of
from domain.errors import NotFound
from services.consumers.positions import Replay

# What the archive does not have yet comes from the stream: it is read from where the archive stands, if that is less.
_TO_TIME = text("""
    UPDATE consumer_positions AS mine
       SET version = mine.version + 1, replay = CAST(:replay AS jsonb), event_id = NULL,
           position = coalesce(least(mine.position, archive.position), 0)
      FROM consumer_positions AS same
      LEFT JOIN consumer_positions AS archive
        ON archive.consumer = :archive AND archive.partition = same.partition
       AND archive.incarnation = same.incarnation
     WHERE same.consumer = mine.consumer AND same.partition = mine.partition AND mine.consumer = :consumer
 RETURNING mine.partition
""")
_TO_POSITION = text("""
    UPDATE consumer_positions SET version = version + 1, replay = NULL, event_id = NULL, position = :position
     WHERE consumer = :consumer AND partition = :partition RETURNING partition
""")
_FORGET_ALL = text("DELETE FROM consumer_sequences WHERE consumer = :consumer")
_SUBJECTS = text("SELECT source, subject FROM consumer_sequences WHERE consumer = :consumer")
_FORGET = text("""
    DELETE FROM consumer_sequences
     WHERE consumer = :consumer AND (source, subject) IN (
           SELECT source, subject FROM json_to_recordset(CAST(:subjects AS json)) AS old (source text, subject text))
""")
# They come again with the others; one that is refused again is parked again.
_UNPARK = text("""
    DELETE FROM dead_letters
     WHERE consumer = :consumer AND resolved_at IS NULL AND source <> ''
       AND CAST(convert_from(body, 'UTF8')::jsonb ->> 'time' AS timestamptz) >= :since
""")
_NAMES = text("SELECT DISTINCT consumer FROM consumer_positions ORDER BY consumer")


async def to_time(connection: AsyncConnection, consumer: str, since: datetime, archive: str) -> list[int]:
    """Has all events since a time applied again; the partitions. `archive` is the consumer that fills the archive.

    Raises NotFound for a consumer that has read nothing yet.
    """
    replay = to_json(Replay(since)._asdict()).decode()
    wanted = {"consumer": consumer, "replay": replay, "archive": archive}
    partitions = list((await connection.execute(_TO_TIME, wanted)).scalars())
    if not partitions:
        raise await _no_such_consumer(connection)
    await connection.execute(_FORGET_ALL, {"consumer": consumer})
    await connection.execute(_UNPARK, {"consumer": consumer, "since": since})
    return sorted(partitions)


async def to_position(connection: AsyncConnection, consumer: str, partition: int, position: int) -> list[int]:
    """Has what follows a position of a partition applied again. Raises NotFound for one that was never read."""
    wanted = {"consumer": consumer, "partition": partition, "position": position}
    partitions = list((await connection.execute(_TO_POSITION, wanted)).scalars())
    if not partitions:
        raise await _no_such_consumer(connection)
    rows = await connection.execute(_SUBJECTS, {"consumer": consumer})
    there = [row._asdict() for row in rows if partition_of(row.subject) == partition]
    await connection.execute(_FORGET, {"consumer": consumer, "subjects": to_json(there).decode()})
    return partitions


async def names(connection: AsyncConnection) -> list[str]:
    """The consumers that have read anything."""
    return list((await connection.execute(_NAMES)).scalars())


async def _no_such_consumer(connection: AsyncConnection) -> NotFound:
    there = ", ".join(await names(connection)) or "none yet"
    return NotFound("no_such_consumer", f"no consumer of this name has read this partition; consumers: {there}")
