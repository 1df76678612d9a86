"""Parked events: the broker refuses one for what it is, and what its subject writes after it waits behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.outbox.waiting import WaitingEvent

PUBLISH = "publish_event"
"""The step under which the repair desk knows the tickets of parked events."""

MOST_WORDS = 500  # of a broker's error

_PARK = text("""
    UPDATE outbox SET parked_at = now(), parked_because = :why
     WHERE id = :id AND published_at IS NULL AND parked_at IS NULL
    RETURNING id
""")
_HOLD_BACK = text("""
    UPDATE outbox SET parked_at = now()
     WHERE EXISTS (SELECT FROM outbox WHERE parked_at IS NOT NULL)  -- asked first: mostly that is all
       AND published_at IS NULL AND parked_at IS NULL
       AND (source, subject) IN (SELECT source, subject FROM outbox WHERE parked_at IS NOT NULL)
""")
_UNPARK = text("""
    UPDATE outbox SET parked_at = NULL, parked_because = NULL
     WHERE parked_at IS NOT NULL
       AND (source, subject) IN (SELECT source, subject FROM outbox
                                  WHERE event_id = :event_id AND parked_because IS NOT NULL)
    RETURNING event_id
""")
_PARKED = text("""
    SELECT event_id, type, source, subject, sequence, time, parked_at, parked_because,
           (SELECT count(*) FROM outbox AS behind
             WHERE behind.parked_at IS NOT NULL AND behind.parked_because IS NULL
               AND behind.source = refused.source AND behind.subject = refused.subject) AS behind
      FROM outbox AS refused WHERE parked_at IS NOT NULL AND parked_because IS NOT NULL ORDER BY id LIMIT :most
""")


class ParkedEvent(NamedTuple):
    """An event that the broker refused."""

    event_id: str
    type: str
    source: str
    subject: str
    sequence: int
    time: datetime
    parked_at: datetime
    because: str
    behind: int  # events of the same subject that wait for it


async def park(connection: AsyncConnection, event: WaitingEvent, why: str) -> bool:
    """Parks the event, and what waits behind it; False where another relay has published or parked it."""
    parked = await connection.execute(_PARK, {"id": event.id, "why": why[:MOST_WORDS]})
    if parked.one_or_none() is None:
        return False
    await hold_back(connection)
    return True


async def hold_back(connection: AsyncConnection) -> None:
    """Marks what was written behind a parked event since, so that nobody reads it at every look."""
    await connection.execute(_HOLD_BACK)


async def unpark(connection: AsyncConnection, event_id: str) -> int:
    """Lets the event and those behind it be tried again; how many they are, 0 where it is not parked."""
    return len((await connection.execute(_UNPARK, {"event_id": event_id})).all())


async def parked(connection: AsyncConnection, most: int = 100) -> Sequence[ParkedEvent]:
    """The events that were refused, the oldest first."""
    return [ParkedEvent(*row) for row in await connection.execute(_PARKED, {"most": most})]
