"""What the relay does with the events of the outbox: reads those that wait, and notes which the broker has.

Events of a subject wait in the order of their ids: each was written under the lock of the row that numbers them. A
*lane* is a share of the subjects; whoever owns a lane publishes all of its events, one after the other per subject.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

LANES = 8
"""Of the ownership alone: how many relays can share the work. `hashtext` needs no column and no index of its own."""

CHANNEL = "ordersaga_outbox"
"""What the relay listens to; a notification says only that there is something to publish."""

# What is committed while a subject is parked waits behind it, though `hold_back` has not marked it yet.
_WAITING = text(f"""
    SELECT id, event_id, type, source, subject, sequence, time, traceparent, data::text AS data, replay
      FROM outbox
     WHERE published_at IS NULL AND parked_at IS NULL AND (hashtext(subject) & {LANES - 1}) = ANY(:lanes)
       AND NOT EXISTS (SELECT FROM outbox AS parked
                        WHERE parked.parked_at IS NOT NULL AND parked.subject = outbox.subject
                          AND parked.source = outbox.source)
     ORDER BY id LIMIT :most
""")  # noqa: S608  # a constant

# A commit that need not wait for the disk: what a crash of the database forgets is published once more.
_ACKNOWLEDGE = text("""
    UPDATE outbox SET published_at = now()
      FROM unnest(CAST(:ids AS bigint[]), CAST(:replays AS int[])) AS acknowledged (id, replay)
     WHERE outbox.id = acknowledged.id AND outbox.replay = acknowledged.replay AND outbox.published_at IS NULL
    RETURNING set_config('synchronous_commit', 'off', true) IS NULL
""")

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

    async def read(self, lanes: Collection[int], most: int) -> list[WaitingEvent]:
        """Up to `most` events of these lanes, the oldest first; none of a subject of which an event is parked."""
        async with self._writes.connect() as connection:
            rows = await connection.execute(_WAITING, {"lanes": sorted(lanes), "most": most})
            return [WaitingEvent(*row) for row in rows]

    async def acknowledge(self, events: Sequence[WaitingEvent]) -> None:
        """Notes that the broker has these events; one that was asked for again since goes on waiting."""
        values = {"ids": [event.id for event in events], "replays": [event.replay for event in events]}
        async with self._writes.connect() as connection:
            await connection.execute(_ACKNOWLEDGE, values)

    async def prune(self, kept: timedelta, most: int) -> int:
        """Deletes up to `most` events that were acknowledged longer ago than `kept`; how many it were."""
        async with self._writes.connect() as connection:
            return (await connection.execute(_PRUNE, {"kept": kept, "most": most})).rowcount
