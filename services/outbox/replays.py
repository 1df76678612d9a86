"""Replays: events that were published are published again, for a broker that lost them.

The events keep their ids, by which consumers know what they have. The broker gets new message ids: within its window
for repeats it would swallow the old ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CLOCKS = timedelta(minutes=1)
"""How far the clocks of our processes may be apart: an event was published after it happened."""

_REPLAY = text("""
    UPDATE outbox SET published_at = NULL, replay = replay + 1
     WHERE published_at >= CAST(:since AS timestamptz) - CAST(:clocks AS interval)
       AND time >= CAST(:since AS timestamptz) AND time < CAST(:until AS timestamptz)
       AND (CAST(:type AS text) IS NULL OR type = :type)
       AND (CAST(:subject AS text) IS NULL OR subject = :subject)
""")


@dataclass(frozen=True)
class Replay:
    """Which events: those that happened at `since` or later and before `until`; None means any."""

    since: datetime
    until: datetime
    type: str | None = None
    subject: str | None = None


async def replay(connection: AsyncConnection, wanted: Replay) -> int:
    """Puts the published events back among those that wait, in their old places; how many they are.

    They come before anything of their subjects that has not been published yet. Those that the outbox does not
    have any more are not among them.
    """
    values = {
        "since": wanted.since,
        "until": wanted.until,
        "type": wanted.type,
        "subject": wanted.subject,
        "clocks": CLOCKS,
    }
    return (await connection.execute(_REPLAY, values)).rowcount
