"""Per subject the sequence of the last event that a consumer applied or parked: what is not greater is a repeat."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_READ = text("""
    SELECT mine.source, mine.subject, mine.sequence
      FROM unnest(CAST(:sources AS text[]), CAST(:subjects AS text[])) AS wanted (source, subject)
      JOIN consumer_sequences AS mine
        ON mine.consumer = :consumer AND mine.source = wanted.source AND mine.subject = wanted.subject
""")
_WRITE = text("""
    INSERT INTO consumer_sequences (consumer, source, subject, sequence)
    SELECT :consumer, new.source, new.subject, new.sequence
      FROM json_to_recordset(CAST(:sequences AS json)) AS new (source text, subject text, sequence bigint)
     ORDER BY new.source, new.subject
        ON CONFLICT (consumer, source, subject)
        DO UPDATE SET sequence = greatest(consumer_sequences.sequence, excluded.sequence)
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
    """Notes sequences; one that is there and greater stays."""
    rows = [{**subject._asdict(), "sequence": sequence} for subject, sequence in sequences.items()]
    await connection.execute(_WRITE, {"consumer": consumer, "sequences": to_json(rows).decode()})
