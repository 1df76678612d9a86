"""Who listens to which order in this process, and the one loop that hands new timeline rows to them.

The loop alone reads rows and hands them out: of each order what follows the last row that its listener got. So no row
is missed or repeated, however notifications, polls and new listeners come in between. A listener is known before its
order is read for the first time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.hints import subjects_of
from adapters.postgres.notifications import Listener as Notifications
from adapters.settings import Settings
from api.orders.event_frames import Rows
from api.orders.listener import Listener
from domain.errors import Unavailable
from services.insight.orders import Timeline, read_timelines
from services.orders.hints import CHANNEL

FIRST_POLL, LAST_POLL = 1.0, 5.0  # seconds between two looks that nothing asked for
FIRST_RETRY, LAST_RETRY = 0.1, 2.0  # seconds between two looks while the database is away
LINGER = 30.0  # seconds that the loop and its connection outlive the last listener
LAST_WORDS = 1.0  # seconds in which the clients of a process that stops may take what waits for them
COME_BACK = timedelta(seconds=5)

Read = Callable[[Mapping[str, int]], Awaitable[dict[str, Timeline]]]
Listen = Callable[[Callable[[], None], Callable[[str], None]], Coroutine[Any, Any, None]]
"""Listens for ever: calls the first for "look at everything", the second with the payload of a notification."""

log = structlog.get_logger()


@asynccontextmanager
async def live_orders(
    settings: Settings, reads: AsyncEngine, dropped: Callable[[], None]
) -> AsyncIterator[LiveOrders]:
    """The listeners of this process; `dropped` is told of each that was too slow."""

    def listen(heard: Callable[[], None], named: Callable[[str], None]) -> Coroutine[Any, Any, None]:
        return Notifications(settings, CHANNEL, heard, named).listen_forever()

    most = settings.max_listeners
    live = LiveOrders(lambda seen: read_timelines(reads, seen), listen, most, dropped, FIRST_POLL)
    try:
        yield live
    finally:
        live.close()
        await live.aclose()


class LiveOrders:
    """The listeners of one process, at most `most`. While there are any it holds one connection that listens."""

    def __init__(
        self,
        read: Read,
        listen: Listen,
        most: int,
        dropped: Callable[[], None] = lambda: None,
        first_poll: float = FIRST_POLL,
    ) -> None:
        self._read, self._listen, self._most, self._dropped = read, listen, most, dropped
        self._first_poll = first_poll
        self._by_order: dict[str, set[Listener]] = {}
        self._to_look_at: set[str] = set()
        self._awake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._closed = False
        self.count = 0

    def join(self, order_id: str, position: int) -> Listener:
        """A listener to what follows the row `position`. Raises Unavailable where there are too many."""
        if self._closed:
            raise _stopping()
        if self.count >= self._most:
            detail = f"this server has {self._most} live streams, the most that it may have; poll, or come back later"
            raise Unavailable("too_many_listeners", detail, retry_after=COME_BACK)
        listener = Listener(order_id, position)
        self._by_order.setdefault(order_id, set()).add(listener)
        self.count += 1
        self._look_at(order_id)
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._serve())
        return listener

    def leave(self, listener: Listener) -> None:
        """Nobody reads it any more."""
        listeners = self._by_order.get(listener.order_id, set())
        if listener in listeners:
            listeners.discard(listener)
            self.count -= 1
            if not listeners:
                del self._by_order[listener.order_id]

    @property
    def is_running(self) -> bool:
        """Whether it looks for new rows, and holds a connection for that."""
        return self._loop is not None

    def close(self) -> None:
        """Ends all streams: their clients resume with another process. Whoever does not read is cut off."""
        if self._closed:
            return
        self._closed = True
        left = [listener for listeners in self._by_order.values() for listener in listeners]
        for listener in left:
            listener.refuse(_stopping())
        loop = asyncio.get_running_loop()
        for listener in left:
            loop.call_later(LAST_WORDS, listener.drop)

    async def aclose(self) -> None:
        """Ends the loop."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    # the loop --------------------------------------------------------------------------------------------------

    def _look_at(self, *order_ids: str) -> None:
        known = [order_id for order_id in order_ids if order_id in self._by_order]
        if known:
            self._to_look_at.update(known)
            self._awake.set()

    def _look_at_all(self) -> None:
        self._look_at(*self._by_order)

    async def _serve(self) -> None:
        """Until nobody has listened for a while."""
        hears = asyncio.create_task(
            self._listen(self._look_at_all, lambda payload: self._look_at(*subjects_of(payload)))
        )
        try:
            while self._by_order:
                await self._hand_out_while_wanted()
                self._awake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        await self._awake.wait()
        finally:
            self._loop = None  # who joins from here on starts another one
            hears.cancel()
            await asyncio.gather(hears, return_exceptions=True)

    async def _hand_out_while_wanted(self) -> None:
        pause, retry = self._first_poll, FIRST_RETRY
        next_poll = time.monotonic() + pause
        while self._by_order:
            if polls := time.monotonic() >= next_poll:
                self._look_at_all()
            try:
                late = await self._hand_out() and polls
            except Exception as error:
                log.warning("live_orders_not_read", error=type(error).__name__)
                await asyncio.sleep(retry)
                retry = min(2 * retry, LAST_RETRY)
                continue
            retry = FIRST_RETRY
            if polls:  # rows that only a poll has found: notifications do not arrive
                pause = self._first_poll if late else min(2 * pause, LAST_POLL)
                next_poll = time.monotonic() + pause
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_poll - time.monotonic())):
                    await self._awake.wait()

    async def _hand_out(self) -> bool:
        """Whether there was anything new but for new listeners. Raises what the database raises."""
        asked_for, self._to_look_at = self._to_look_at, set()
        self._awake.clear()
        asked = {
            order_id: min(listener.position for listener in listeners)
            for order_id in asked_for
            if (listeners := self._by_order.get(order_id))
        }
        if not asked:
            return False
        known = {order_id: [*self._by_order[order_id]] for order_id in asked}
        try:
            found = await self._read(asked)
        except Exception as error:
            self._refuse([one for listeners in known.values() for one in listeners if not one.began.done()], error)
            self._look_at(*asked)
            raise
        late = False
        for order_id, there in known.items():
            try:
                rows = Rows(found.get(order_id))
            except ValueError as error:  # e.g. a state that only a later version knows
                self._refuse(there, error)
            else:
                got_more = [self._hand(listener, rows) for listener in there]
                late |= any(got_more)
        return late

    def _refuse(self, listeners: list[Listener], why: Exception) -> None:
        for listener in listeners:
            listener.refuse(why)
            self.leave(listener)

    def _hand(self, listener: Listener, rows: Rows) -> bool:
        """Whether a listener that had all rows before has got more."""
        is_new = listener.begin(rows.timeline)
        frames = rows.after(listener.position)
        if frames and not listener.hand(frames, rows.last):
            log.warning("listener_dropped", order_id=listener.order_id)
            self._dropped()
            listener.drop()
            self.leave(listener)
        elif rows.are_all:
            listener.end()
        return bool(frames) and not is_new


def _stopping() -> Unavailable:
    return Unavailable("stopping", "this server is about to stop; ask again", retry_after=timedelta(seconds=1))
