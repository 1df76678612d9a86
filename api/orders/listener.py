"""One who listens to an order: what is new waits here until the client's connection takes it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from services.insight.orders import Timeline

MOST_WAITING = 64  # writes that may wait for a client
PING_EVERY = 15.0  # seconds of silence before a comment says that the connection is alive
RETRY = b"retry: 1000\n\n"  # milliseconds after which a client that lost the stream asks again
PING = b": ping\n\n"


class Listener:
    """A stream of one order's timeline.

    `position` is the sequence of the last row that was handed to it; a row is handed out once and in its order.
    """

    def __init__(self, order_id: str, position: int) -> None:
        self.order_id, self.position = order_id, position
        self.began: asyncio.Future[Timeline | None] = asyncio.get_running_loop().create_future()
        """The order as it was when it was first looked at, None for one that does not exist; or why nobody looked."""
        self.dropped = asyncio.Event()
        self._waiting: deque[bytes] = deque()
        self._ended = False
        self._news = asyncio.Event()

    def begin(self, found: Timeline | None) -> bool:
        """The order was looked at. Whether that was for the first time."""
        if self.began.done():
            return False
        self.began.set_result(found)
        return True

    def refuse(self, why: Exception) -> None:
        """A stream that has not begun is refused, one that has begun ends."""
        if not self.began.done():
            self.began.set_exception(why)
            self.began.exception()  # also where nobody waits for it any more
        self.end()

    def hand(self, frames: bytes, position: int) -> bool:
        """Rows up to `position`. False where too many wait already: this listener is too slow."""
        if len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting.append(frames)
        self.position = position
        self._news.set()
        return True

    def end(self) -> None:
        """Nothing more comes; what waits is still sent."""
        self._ended = True
        self._news.set()

    def drop(self) -> None:
        """Ends the stream at once, also where the client does not read: it may resume after its last row."""
        self._waiting.clear()
        self.end()
        self.dropped.set()

    async def frames(self, ping_every: float = PING_EVERY) -> AsyncIterator[bytes]:
        """What is to be written to the client, until the end."""
        yield RETRY
        while True:
            if self._waiting:
                frames = b"".join(self._waiting)
                self._waiting.clear()
                yield frames
            elif self._ended:
                return
            else:
                self._news.clear()
                try:
                    async with asyncio.timeout(ping_every):
                        await self._news.wait()
                except TimeoutError:
                    yield PING
