"""What the relay does with the events of the outbox: reads those that wait, and notes which the broker has.

Events of a subject wait in the order of their ids: each was written under the lock of the row that numbers them. A
*lane* is a share of the subjects; whoever owns a lane publishes all of its events, one after the other per subject.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.plain import Plain, can_spare, plain

LANES = 8
"""Of the ownership alone: how many relays can share the work. `hashtext` needs no column and no index of its own."""

CHANNEL = "ordersaga_outbox"
"""What the relay listens to; a notification says only that there is something to publish."""

# What is committed while a subject is parked waits behind it, though `hold_back` has not marked it yet.
_WAITING = f"""
    SELECT id, event_id, type, source, subject, sequence, time, traceparent, data::text, replay
      FROM outbox
     WHERE published_at IS NULL AND parked_at IS NULL AND (hashtext(subject) & {LANES - 1}) = ANY($1)
       AND NOT EXISTS (SELECT FROM outbox AS parked
                        WHERE parked.parked_at IS NOT NULL AND parked.subject = outbox.subject
                          AND parked.source = outbox.source)
"""  # noqa: S608  # a constant
_READ = f"{_WAITING} ORDER BY id LIMIT $2"

# One round trip: the relay goes on until nothing is left. The commit need not wait for the disk: what a crash of the
# database forgets is published once more. A row that another relay notes just now is left to it: they would wait for
# each other. The rest of the statement sees the rows as they were before, so it leaves out what was acknowledged, but
# not what was asked for again since.
_NOTE_AND_READ = f"""
    WITH acknowledged AS MATERIALIZED (SELECT * FROM unnest($3::bigint[], $4::int[]) AS given (id, replay)),
         mine AS (
        SELECT outbox.id FROM outbox JOIN acknowledged USING (id, replay)
         WHERE outbox.published_at IS NULL FOR UPDATE OF outbox SKIP LOCKED),
         noted AS (
        UPDATE outbox SET published_at = now() FROM mine WHERE outbox.id = mine.id
        RETURNING set_config('synchronous_commit', 'off', true))
    {_WAITING} AND (id, replay) NOT IN (SELECT id, replay FROM acknowledged) ORDER BY id LIMIT $2
"""  # noqa: S608

_PRUNE = text("""
    DELETE FROM outbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM outbox WHERE published_at < now() - CAST(:kept AS interval)
         ORDER BY published_at LIMIT :most FOR UPDATE SKIP LOCKED))
""")


class WaitingEvent(NamedTuple):
    """An event as the outbox has it; `data` is JSON, `replay` says how often it was asked for again."""

    id: int
    event_id: str
    type: str
    source: str
    subject: str
    sequence: int
    time: datetime
    traceparent: str | None
    data: str
    replay: int

    @property
    def message_id(self) -> str:
        """By which a broker knows a repeat: another one for each replay, which is no repeat to it."""
        return f"{self.event_id}:{self.replay}" if self.replay else self.event_id


class Waiting:
    """The statements of one relay; each commits by itself and holds no lock afterwards."""

    def __init__(self, writes: AsyncEngine) -> None:
        """`writes` commits each statement by itself."""
        self._writes = writes
        self._connection: Plain | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Inside, `read` and `acknowledge` use one connection, where the pool can spare it."""
        if not can_spare(self._writes):
            yield
            return
        async with plain(self._writes) as self._connection:
            try:
                yield
            finally:
                self._connection = None

    async def _fetch(self, statement: str, *values: Any) -> list[WaitingEvent]:
        if self._connection is not None:
            rows = await self._connection.fetch(statement, *values)
        else:
            async with plain(self._writes) as connection:
                rows = await connection.fetch(statement, *values)
        return [WaitingEvent(*row) for row in rows]

    async def read(self, lanes: Collection[int], most: int) -> list[WaitingEvent]:
        """Up to `most` events of these lanes, the oldest first; none of a subject of which an event is parked."""
        return await self._fetch(_READ, sorted(lanes), most)

    async def acknowledge(
        self, events: Sequence[WaitingEvent], lanes: Collection[int], most: int
    ) -> list[WaitingEvent]:
        """Notes that the broker has these events, and reads on; what was asked for again since goes on waiting."""
        ids, replays = [event.id for event in events], [event.replay for event in events]
        return await self._fetch(_NOTE_AND_READ, sorted(lanes), most, ids, replays)

    async def prune(self, kept: timedelta, most: int) -> int:
        """Deletes up to `most` events that were acknowledged longer ago than `kept`; how many it were."""
        async with self._writes.connect() as connection:
            return (await connection.execute(_PRUNE, {"kept": kept, "most": most})).rowcount
