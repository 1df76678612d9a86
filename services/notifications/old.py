"""Messages that ended long ago leave: what was sent to whom is told by orders and events for as long as they stay."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

# Of the oldest rows only, whether they leave or not: so a look at a table of millions, of which none is old enough,
# costs no more, and needs no index of its own. By arrays: of a join the planner may read the whole table.
_PRUNE = text("""
    DELETE FROM notifications WHERE id = ANY(ARRAY(
        SELECT id FROM notifications
         WHERE id = ANY(ARRAY(SELECT id FROM notifications ORDER BY id LIMIT :most))
           AND ended_at < now() - CAST(:kept AS interval)
           FOR UPDATE SKIP LOCKED))
""")


class OldMessages:
    """The messages that nobody needs any more. One that is still to be sent never leaves."""

    def __init__(self, writes: AsyncEngine, kept: timedelta) -> None:
        """`writes` commits each statement by itself; `kept` is longer than any copy of an event may come."""
        self._writes, self._kept = writes, kept

    async def prune(self, most: int) -> int:
        """Deletes those of the oldest `most` whose time is over; how many they were."""
        async with self._writes.connect() as connection:
            return (await connection.execute(_PRUNE, {"kept": self._kept, "most": most})).rowcount
