"""How a webhook comes into the inbox: stored once, and the relay is woken."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.notifications import notify
from domain.webhooks import Arrived
from services.inbox.inbox import store

CHANNEL = "ordersaga_inbox"
"""What the relay listens to. A notification says only that there is something to claim."""


class Arrivals:
    """Takes webhooks in, for the relay to follow up."""

    def __init__(self, writes: AsyncEngine) -> None:
        """`writes` commits each statement by itself."""
        self._writes = writes

    async def take_in(self, event: Arrived) -> bool:
        """Stores the event and then wakes the relay; False when the event was there already.

        An event about no object (`object_id` is None) is stored as processed.
        """
        async with self._writes.connect() as connection:
            is_new = (await connection.execute(store([event]))).rowcount == 1
            if is_new and event.object_id:
                await notify(connection, CHANNEL)
        return is_new
