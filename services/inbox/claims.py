"""Who follows up which event of the inbox: a process claims it, and keeps the claim until it has noted the end.

A claim is a lease: `attempted_at`, by the database's clock, says when it was made or renewed. The events of a process
that died are free for others when it is over.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now
from adapters.postgres.notifications import notify
from services.inbox.arrivals import CHANNEL
from services.inbox.echoes import IS_ECHO
from services.inbox.inbox import LEASE, NOBODY, inbox

# The commit of a claim need not wait for the disk: one that a crash of the server loses is made again.
_CLAIM = text(f"""
    WITH due AS (
        SELECT source, event_id FROM webhook_inbox
         WHERE processed_at IS NULL AND attempted_at < now() - CAST(:lease AS interval) AND source = ANY(:sources)
         ORDER BY attempted_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE webhook_inbox AS event
       SET attempted_at = now(), processed_at = CASE WHEN {IS_ECHO} THEN now() END
      FROM due
     WHERE event.source = due.source AND event.event_id = due.event_id
    RETURNING event.source, event.event_id, event.object_id, event.received_at,
              event.processed_at IS NOT NULL AS is_echo, set_config('synchronous_commit', 'off', true)
""")  # noqa: S608  # nothing but constants of `echoes.py`


class EventKey(NamedTuple):
    """What names an event: far ends give ids of their own."""

    source: str
    event_id: str


class Claimed(NamedTuple):
    """An event that this process has to follow up."""

    key: EventKey
    object_id: str
    received_at: datetime
    is_echo: bool = False  # of a step of ours: it has ended


class Claims:
    """The claims of one process. Each method is one statement that holds no lock afterwards."""

    def __init__(self, writes: AsyncEngine) -> None:
        """`writes` commits each statement by itself."""
        self._writes = writes

    async def claim(self, sources: Collection[str], limit: int) -> list[Claimed]:
        """Claims up to `limit` events of these sources that are due, each for one process only; echoes it ends."""
        values = {"sources": sorted(sources), "limit": limit, "lease": LEASE}
        async with self._writes.connect() as connection:
            rows = (await connection.execute(_CLAIM, values)).all()
        return [
            Claimed(EventKey(row.source, row.event_id), row.object_id, row.received_at, is_echo=row.is_echo)
            for row in rows
        ]

    async def renew(self, events: Collection[EventKey]) -> None:
        """Begins the lease of these events anew."""
        renewed = update(inbox).where(_unprocessed(events)).values(attempted_at=func.now())
        async with self._writes.connect() as connection:
            await connection.execute(renewed)

    async def give_back(self, events: Collection[EventKey]) -> None:
        """Ends the lease of these events, and wakes the relays that go on."""
        free = update(inbox).where(_unprocessed(events)).values(attempted_at=func.now() - NOBODY)
        async with self._writes.connect() as connection:
            await connection.execute(free)
            await notify(connection, CHANNEL)

    async def note_processed(self, events: Collection[EventKey], note: str | None) -> list[tuple[str, float]]:
        """Ends these events, each once whoever comes first; source and age in seconds of each that this call ended.

        `note` says why a look was of no use, e.g. because the far end does not know the object.
        """
        at = now()
        ended = (
            update(inbox)
            .where(_unprocessed(events))
            .values(processed_at=at, last_error=note)
            .returning(inbox.c.source, inbox.c.received_at)
        )
        async with self._writes.connect() as connection:
            rows = (await connection.execute(ended)).all()
        return [(row.source, max(0.0, (at - row.received_at).total_seconds())) for row in rows]

    async def note_failure(self, events: Collection[EventKey], error: str) -> None:
        """Keeps the reason; the events stay unprocessed and are due again when their lease is over."""
        async with self._writes.connect() as connection:
            await connection.execute(update(inbox).where(_unprocessed(events)).values(last_error=error))


def _unprocessed(events: Collection[EventKey]) -> Any:
    return inbox.c.processed_at.is_(None) & tuple_(inbox.c.source, inbox.c.event_id).in_(sorted(events))
