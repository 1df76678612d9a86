"""Per subject the sequence of the last event that a consumer applied or parked: what is not greater is a repeat.

It is forgotten when nothing of the subject, repeats among it, has come for longer than any copy of an event is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import NamedTuple

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_READ = text("""
    SELECT mine.source, mine.subject, mine.sequence
      FROM unnest(CAST(:sources AS text[]), CAST(:subjects AS text[])) AS wanted (source, subject)
      JOIN consumer_sequences AS mine
        ON mine.consumer = :consumer AND mine.source = wanted.source AND mine.subject = wanted.subject
""")
_WRITE = text("""
    INSERT INTO consumer_sequences (consumer, source, subject, sequence, seen_at)
    SELECT :consumer, new.source, new.subject, new.sequence, now()
      FROM json_to_recordset(CAST(:sequences AS json)) AS new (source text, subject text, sequence bigint)
     ORDER BY new.source, new.subject
        ON CONFLICT (consumer, source, subject)
        DO UPDATE SET sequence = greatest(consumer_sequences.sequence, excluded.sequence), seen_at = now()
""")
# Of consumers that read what comes, as they said within the last minute: one that stood still for weeks may not have
# seen the copies that are in the stream. A few events are always on their way.
_PRUNE = text("""
    DELETE FROM consumer_sequences WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM consumer_sequences
         WHERE seen_at < now() - CAST(:kept AS interval)
           AND consumer IN (SELECT consumer FROM consumer_positions GROUP BY consumer
                            HAVING bool_and(lag <= 1000 AND replay IS NULL
                                            AND seen_at > now() - interval '1 minute'))
         LIMIT :most FOR UPDATE SKIP LOCKED))
""")


class Subject(NamedTuple):
    """What events are about: a sequence counts the events of one."""

    source: str
    subject: str


async def read(connection: AsyncConnection, consumer: str, subjects: Collection[Subject]) -> dict[Subject, int]:
    """The sequences that are known."""
    wanted = {"sources": [one.source for one in subjects], "subjects": [one.subject for one in subjects]}
    rows = await connection.execute(_READ, {"consumer": consumer} | wanted)
    return {Subject(row.source, row.subject): row.sequence for row in rows}


async def write(connection: AsyncConnection, consumer: str, sequences: Mapping[Subject, int]) -> None:
    """Notes sequences of what came, new or repeated; one that is there and greater stays."""
    rows = [{**subject._asdict(), "sequence": sequence} for subject, sequence in sequences.items()]
    await connection.execute(_WRITE, {"consumer": consumer, "sequences": to_json(rows).decode()})


class OldSequences:
    """The sequences that nobody needs any more."""

    def __init__(self, writes: AsyncEngine, kept: timedelta) -> None:
        """`writes` commits each statement by itself; `kept` is longer than outbox and broker keep an event."""
        self._writes, self._kept = writes, kept

    async def prune(self, most: int) -> int:
        """Deletes up to `most`; how many they were."""
        async with self._writes.connect() as connection:
            return (await connection.execute(_PRUNE, {"kept": self._kept, "most": most})).rowcount
