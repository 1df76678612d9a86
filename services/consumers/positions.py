"""How far a consumer has read: written in the transaction of its effects, so that both happen or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_READ = text("""
    SELECT partition, version, incarnation, position, event_id, replay
      FROM consumer_positions WHERE consumer = :consumer
""")
_BEGIN = text("""
    INSERT INTO consumer_positions (consumer, partition, version, incarnation, position, lag, seen_at)
    VALUES (:consumer, :partition, 0, :incarnation, :position, 0, now()) ON CONFLICT DO NOTHING
""")
_MOVE = text("""
    UPDATE consumer_positions AS mine
       SET version = mine.version + 1, incarnation = new.incarnation, position = new.position,
           event_id = new.event_id, replay = new.replay
      FROM json_to_recordset(CAST(:places AS json))
        AS new (partition int, version bigint, incarnation text, position bigint, event_id text, replay jsonb)
     WHERE mine.consumer = :consumer AND mine.partition = new.partition AND mine.version = new.version
""")
_LAG = text("""
    UPDATE consumer_positions AS mine
       SET lag = new.lag, seen_at = now(),
           behind_since = CASE WHEN new.lag > 0 THEN coalesce(mine.behind_since, now()) END
      FROM json_to_recordset(CAST(:lags AS json)) AS new (partition int, lag bigint)
     WHERE mine.consumer = :consumer AND mine.partition = new.partition
""")


class Moved(Exception):
    """Somebody else has written the position: another instance, or an operator's reset. Read it again."""


class Replay(NamedTuple):
    """A partition that is read again from the archive: events since a time, of which all up to `after` were read.

    `after` is source, subject and sequence of an event: the archive is read subject by subject.
    """

    since: datetime
    after: tuple[str, str, int] | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Replay:
        """Reads the column `replay`."""
        source, subject, sequence = stored["after"] or (None, None, None)
        after = None if source is None else (str(source), str(subject), int(sequence or 0))
        return cls(datetime.fromisoformat(stored["since"]), after)


@dataclass(frozen=True)
class Place:
    """How far a consumer is in a partition; `version` is that of the row."""

    incarnation: str
    position: int
    event_id: str | None = None
    replay: Replay | None = None
    version: int = 0


async def read(connection: AsyncConnection, consumer: str) -> dict[int, Place]:
    """The consumer's places by partition; it has none where it never was."""
    return {
        row.partition: Place(
            row.incarnation, row.position, row.event_id, Replay.of(row.replay) if row.replay else None, row.version
        )
        for row in await connection.execute(_READ, {"consumer": consumer})
    }


async def begin(connection: AsyncConnection, consumer: str, partition: int, place: Place) -> None:
    """The first place; one that is there stays."""
    where = {"incarnation": place.incarnation, "position": place.position}
    await connection.execute(_BEGIN, {"consumer": consumer, "partition": partition} | where)


async def move(connection: AsyncConnection, consumer: str, places: Mapping[int, Place]) -> None:
    """Writes places by partition; each `version` is the one that was read. Raises Moved: then nothing may stay."""
    rows = [
        {
            "partition": partition,
            "version": place.version,
            "incarnation": place.incarnation,
            "position": place.position,
            "event_id": place.event_id,
            "replay": None if place.replay is None else place.replay._asdict(),
        }
        for partition, place in places.items()
    ]
    moved = await connection.execute(_MOVE, {"consumer": consumer, "places": to_json(rows).decode()})
    if moved.rowcount != len(rows):
        raise Moved(f"{consumer}: the position of a partition was written by somebody else")


async def note_lag(connection: AsyncConnection, consumer: str, lags: Mapping[int, int]) -> None:
    """What the owner of the partitions sees: how many positions each one is behind the end of the stream."""
    rows = [{"partition": partition, "lag": lag} for partition, lag in lags.items()]
    await connection.execute(_LAG, {"consumer": consumer, "lags": to_json(rows).decode()})
