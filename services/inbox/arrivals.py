"""How a webhook comes into the inbox: stored once, recognized if it is an echo, and otherwise the relay is woken."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now
from adapters.postgres.notifications import notify
from domain.webhooks import Arrived
from services.inbox.echoes import IS_ECHO, MAY_BECOME_ONE, written
from services.inbox.inbox import LEASE, NOBODY

CHANNEL = "ordersaga_inbox"
"""What the relay listens to. A notification says only that there is something to claim."""

SETTLING = 1.0
"""Seconds in which a running step of ours writes down what it has just done."""

_STORE = text(f"""
    WITH event AS (
        SELECT CAST(:source AS text) AS source, CAST(:object_id AS text) AS object_id, CAST(:says AS jsonb) AS says),
         verdict AS (SELECT {IS_ECHO} AS known, {MAY_BECOME_ONE} AS early FROM event)
    INSERT INTO webhook_inbox
           (source, event_id, type, object_id, received_at, attempted_at, processed_at, says)
    SELECT source, :event_id, :type, object_id, CAST(:at AS timestamptz),
           CASE WHEN early THEN now() + CAST(:settled AS interval) ELSE now() - CAST(:long_ago AS interval) END,
           CASE WHEN known OR object_id = '' THEN now() END,
           CASE WHEN early AND NOT known THEN says END
      FROM event, verdict
        ON CONFLICT DO NOTHING
    RETURNING processed_at IS NOT NULL AS ended, says IS NOT NULL AS early
""")  # noqa: S608  # nothing but constants of `echoes.py`


class Arrivals:
    """Takes webhooks in, for the relay to follow up."""

    def __init__(self, writes: AsyncEngine) -> None:
        """`writes` commits each statement by itself."""
        self._writes = writes
        self._early = False
        self._waking: asyncio.Task[None] | None = None

    async def take_in(self, event: Arrived) -> bool:
        """Stores the event and then wakes the relay; False when the event was there already.

        An echo of our own step, and an event about no object (`object_id` is None), are stored as processed. What may
        be an echo that our books do not have yet is due when they had the time: one notification wakes for them all.
        """
        values = {
            "source": event.source,
            "event_id": event.event_id,
            "type": event.type,
            "object_id": event.object_id or "",
            "at": now(),
            "says": written(event.echo),
            "settled": timedelta(seconds=SETTLING) - LEASE,
            "long_ago": NOBODY,
        }
        async with self._writes.connect() as connection:
            stored = (await connection.execute(_STORE, values)).one_or_none()
            if stored is not None and not stored.ended and not stored.early:
                await notify(connection, CHANNEL)
        if stored is not None and stored.early:
            self._wake_when_settled()
        return stored is not None

    async def aclose(self) -> None:
        """Ends the wait for what has to settle; the relay looks for it by itself."""
        if self._waking is not None:
            self._waking.cancel()
            await asyncio.gather(self._waking, return_exceptions=True)

    def _wake_when_settled(self) -> None:
        self._early = True
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._wake_while_early())

    async def _wake_while_early(self) -> None:
        """A notification a second while such events come: it finds all that came up to a second before it."""
        while self._early:
            self._early = False
            await asyncio.sleep(1.05 * SETTLING)
            async with self._writes.connect() as connection:
                await notify(connection, CHANNEL)
