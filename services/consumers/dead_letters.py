"""Events that a consumer could not apply: kept with the reason until a person has them tried again, or skips them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.cloud_events import CloudEvent
from services.consumers.sequences import Subject
from services.consumers.tables import DeadLetter

letters = DeadLetter.__table__  # type: ignore[attr-defined]


class Why(StrEnum):
    """Why an event was parked; a refusal of the domain has a code of its own."""

    MALFORMED = "malformed"  # its body is no CloudEvent
    UNKNOWN_VERSION = "unknown_version"  # of its type: the consumer was written for others
    INVALID = "invalid"  # its data is not what its type says
    FAILED = "failed"  # the consumer broke on it
    HELD = "held"  # it waits behind an earlier event of its subject that was parked


class Fault(NamedTuple):
    """Why an event is not applied; `detail` holds neither a value of the event nor a person's words."""

    reason: str
    detail: str = ""


class Letter(NamedTuple):
    """An event that is parked."""

    event: CloudEvent  # with what could be read of it
    body: bytes
    partition: int
    fault: Fault


class Parked(NamedTuple):
    """A row of the table, as operators see it."""

    id: int
    consumer: str
    partition: int
    event_id: str
    type: str
    source: str
    subject: str
    sequence: int
    reason: str
    detail: str
    attempts: int
    parked_at: datetime
    retry_at: datetime | None
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None

    @property
    def about(self) -> Subject:
        """Whose later events may wait for this one."""
        return Subject(self.source, self.subject)


_COLUMNS = ", ".join(Parked._fields)
_INSERT = """
    INSERT INTO dead_letters (consumer, partition, event_id, type, source, subject, sequence, reason, detail, body,
                              attempts, parked_at)
    VALUES (:consumer, :partition, :event_id, :type, :source, :subject, :sequence, :reason, :detail, :body, 1, now())
        ON CONFLICT (consumer, event_id) {conflict}
"""
_PARK = text(_INSERT.format(conflict="DO NOTHING"))
_PARK_AGAIN = text(
    _INSERT.format(
        conflict="""DO UPDATE SET reason = excluded.reason, detail = excluded.detail, retry_at = NULL,
            resolved_at = NULL, resolution = NULL, attempts = dead_letters.attempts + 1"""
    )
)
_HELD = text("""
    SELECT DISTINCT source, subject FROM dead_letters
     WHERE consumer = :consumer AND resolved_at IS NULL AND subject <> ''
       AND (source, subject) IN (SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:subjects AS text[])))
""")
_WAITING = "consumer = :consumer AND resolved_at IS NULL"
_WANTED = text(f"""
    SELECT {_COLUMNS} FROM dead_letters
     WHERE {_WAITING} AND retry_at <= now() AND partition = ANY(:partitions)
     ORDER BY source, subject, sequence, id LIMIT :most
""")  # noqa: S608
_BEHIND = text(f"""
    SELECT {_COLUMNS} FROM dead_letters WHERE {_WAITING} AND source = :source AND subject = :subject
     ORDER BY sequence, id
""")  # noqa: S608
_BODY = text("SELECT body FROM dead_letters WHERE id = :id AND resolved_at IS NULL FOR UPDATE")
_RESOLVE = text("""
    UPDATE dead_letters SET resolved_at = now(), resolution = :resolution, resolved_by = coalesce(:by, resolved_by)
     WHERE id = :id AND resolved_at IS NULL
""")
_FAILED_AGAIN = text("""
    UPDATE dead_letters SET attempts = attempts + 1, retry_at = NULL, reason = :reason, detail = :detail
     WHERE id = :id AND resolved_at IS NULL
""")
_LIST = text(f"""
    SELECT {_COLUMNS} FROM dead_letters
     WHERE (:resolved OR resolved_at IS NULL) AND consumer = coalesce(:consumer, consumer)
     ORDER BY id DESC LIMIT :most
""")  # noqa: S608
_RETRY = text(f"""
    UPDATE dead_letters SET retry_at = now(), resolved_by = :by
     WHERE resolved_at IS NULL AND consumer = coalesce(:consumer, consumer)
       AND id = coalesce(CAST(:id AS bigint), id) RETURNING {_COLUMNS}
""")  # noqa: S608
_ONE = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE id = :id")  # noqa: S608


async def park(connection: AsyncConnection, consumer: str, parked: Iterable[Letter]) -> None:
    """Keeps events; one that is kept already stays as it is."""
    if rows := [_row(consumer, letter) for letter in parked]:
        await connection.execute(_PARK, rows)


async def park_again(connection: AsyncConnection, consumer: str, letter: Letter) -> None:
    """Keeps an event, also where it was kept before and resolved: what followed its retry has failed."""
    await connection.execute(_PARK_AGAIN, _row(consumer, letter))


def _row(consumer: str, letter: Letter) -> dict[str, Any]:
    return {
        "consumer": consumer,
        "partition": letter.partition,
        "event_id": letter.event.id,
        "type": letter.event.type,
        "source": letter.event.source,
        "subject": letter.event.subject,
        "sequence": letter.event.sequence,
        "reason": letter.fault.reason,
        "detail": letter.fault.detail,
        "body": letter.body,
    }


async def held(connection: AsyncConnection, consumer: str, subjects: Collection[Subject]) -> set[Subject]:
    """Those of the subjects of which an event is parked."""
    wanted = {"sources": [one.source for one in subjects], "subjects": [one.subject for one in subjects]}
    rows = await connection.execute(_HELD, {"consumer": consumer} | wanted)
    return {Subject(row.source, row.subject) for row in rows}


async def wanted(
    connection: AsyncConnection, consumer: str, partitions: Collection[int], most: int = 100
) -> list[Parked]:
    """What an operator wants tried again, in order of each subject."""
    named = {"consumer": consumer, "partitions": list(partitions), "most": most}
    return _parked(await connection.execute(_WANTED, named))


async def behind(connection: AsyncConnection, consumer: str, about: Subject) -> list[Parked]:
    """All that is parked of a subject, in order."""
    return _parked(await connection.execute(_BEHIND, {"consumer": consumer} | about._asdict()))


async def lock_body(connection: AsyncConnection, letter_id: int) -> bytes | None:
    """The event as it came; None where it was resolved meanwhile. Locks the row."""
    found: bytes | None = (await connection.execute(_BODY, {"id": letter_id})).scalar_one_or_none()
    return found


async def resolve(connection: AsyncConnection, letter_id: int, resolution: str, by: str | None = None) -> None:
    """Ends a dead letter; one that has ended stays as it is."""
    await connection.execute(_RESOLVE, {"id": letter_id, "resolution": resolution, "by": by})


async def failed_again(connection: AsyncConnection, letter_id: int, fault: Fault) -> None:
    """A retry was refused: it waits for the next one."""
    await connection.execute(_FAILED_AGAIN, {"id": letter_id} | fault._asdict())


async def listed(
    connection: AsyncConnection, consumer: str | None = None, *, resolved: bool = False, most: int = 100
) -> list[Parked]:
    """The latest, also those that were resolved if they are wanted, too."""
    return _parked(await connection.execute(_LIST, {"consumer": consumer, "resolved": resolved, "most": most}))


async def one(connection: AsyncConnection, letter_id: int) -> Parked | None:
    """A dead letter by its number."""
    found = _parked(await connection.execute(_ONE, {"id": letter_id}))
    return found[0] if found else None


async def ask_for_retry(
    connection: AsyncConnection, by: str, *, letter_id: int | None = None, consumer: str | None = None
) -> list[Parked]:
    """Has one, those of a consumer, or all tried again: whoever owns the partition does it within seconds."""
    return _parked(await connection.execute(_RETRY, {"id": letter_id, "consumer": consumer, "by": by}))


async def skip(connection: AsyncConnection, letter: Parked, by: str) -> list[Parked]:
    """Gives an event up for good; the events that waited behind it are tried again, and returned."""
    await resolve(connection, letter.id, "skipped", by)
    waiting = await behind(connection, letter.consumer, letter.about)
    released = [row for row in waiting if letter.subject and row.reason == Why.HELD]
    for row in released:
        await ask_for_retry(connection, by, letter_id=row.id)
    return released


def _parked(rows: Iterable[Row[Any]]) -> list[Parked]:
    found: Sequence[Row[Any]] = list(rows)
    return [Parked(*tuple(row)) for row in found]
