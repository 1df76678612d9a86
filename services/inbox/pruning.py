"""Which events of the inbox leave: those that were followed up long ago. What decides about money is in no inbox.

A duplicate that comes after its row has left is stored and followed up like a new event: the look at the far end
finds what our books say already, and tells nobody.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now

# By the rows' own addresses: a join would be planned for a share of the table, and might read all of it. The rows are
# locked, so that they keep their addresses; what another relay has locked is left to it.
_PRUNE = text("""
    DELETE FROM webhook_inbox
     WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM webhook_inbox
            WHERE processed_at < :before
            ORDER BY processed_at LIMIT :most FOR UPDATE SKIP LOCKED))
""")


class OldEvents:
    """The events that were followed up more than `kept` ago."""

    def __init__(self, writes: AsyncEngine, kept: timedelta) -> None:
        """`writes` commits each statement by itself."""
        self._writes, self._kept = writes, kept

    async def prune(self, most: int) -> int:
        """Deletes at most `most` of them, the oldest first; how many. An event that still waits never leaves."""
        async with self._writes.connect() as connection:
            return (await connection.execute(_PRUNE, {"before": now() - self._kept, "most": most})).rowcount
