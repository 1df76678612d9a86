"""The inbox of webhooks: each event is stored once, answered, then followed up; a crash loses none.

Following up never trusts the event: it looks at the current state at the far end (`payment_news.py`, `pokes.py`), so
that doubles, old news and two processes at once do no harm.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

import structlog
from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.dml import ReturningUpdate

from adapters.clock import now
from domain.errors import OurMistake
from domain.webhooks import Arrived
from services.inbox.inbox import inbox, store

AT_ONCE = 8  # follow-ups of one process at a time
WAITING = 1000  # follow-ups that wait in one process; what is above comes with the next sweep
BATCH = 100  # events that one sweep takes
LEFT_ALONE = timedelta(seconds=5)  # an event that somebody took on is not taken by others for this long

SETTLING = 1.0  # seconds in which a running step of ours writes down what it has just done


class Poke(Protocol):
    """Follows up events about one kind of object at a far end."""

    async def is_urgent(self, object_id: str) -> bool:
        """Whether somebody waits for this news, so that it is worth a look before it has settled."""
        ...

    async def look(self, object_id: str) -> None:
        """Looks at the object's current state and tells the order's workflow what is new to it."""
        ...


FollowedUp = Callable[[str, float], None]
"""Told once of every event that was followed up: its source, and the seconds since it arrived."""

log = structlog.get_logger()


def _unheard(source: str, seconds: float) -> None: ...


class Inbox:
    def __init__(self, writes: AsyncEngine, pokes: Mapping[str, Poke], followed_up: FollowedUp = _unheard) -> None:
        """`writes` commits each statement by itself; `pokes` by source."""
        self._writes = writes
        self._pokes = pokes
        self._followed_up = followed_up
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: dict[tuple[str, str], list[str]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def take_in(self, event: Arrived) -> bool:
        """Stores the event and follows it up soon; False when it was there already."""
        async with self._writes.connect() as connection:
            is_new = (await connection.execute(store([event]))).rowcount == 1
        if is_new and event.object_id:
            self._follow_up_soon(event.source, event.object_id, event.event_id)
        return is_new

    async def sweep(self) -> int:
        """Follows up events that a crash or a far end's bad day left behind; how many it took."""
        async with self._writes.connect() as connection:
            rows = (await connection.execute(_claim())).all()
        by_object: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows:
            by_object[row.source, row.object_id].append(row.event_id)
        await asyncio.gather(*(self._follow_up(source, of, ids) for (source, of), ids in by_object.items()))
        return len(rows)

    async def sweep_forever(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            try:
                while await self.sweep() == BATCH:
                    pass
            except Exception as error:
                log.warning("sweep_failed", error=type(error).__name__)

    async def aclose(self) -> None:
        """Drops what is under way: the next sweep of any process takes it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow_up_soon(self, source: str, object_id: str, event_id: str) -> None:
        settling = self._settling.get((source, object_id))
        if settling is not None:
            settling.append(event_id)  # one look answers both
        elif len(self._tasks) < WAITING:
            self._settling[source, object_id] = [event_id]
            task = asyncio.create_task(self._settle(source, object_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, source: str, object_id: str) -> None:
        try:
            if not await self._is_urgent(source, object_id):
                await asyncio.sleep(SETTLING)
        finally:
            event_ids = self._settling.pop((source, object_id))
        await self._follow_up(source, object_id, event_ids)

    async def _is_urgent(self, source: str, object_id: str) -> bool:
        try:
            async with self._room:
                return await self._pokes[source].is_urgent(object_id)
        except Exception:
            return False  # the look that follows meets the same trouble, and notes it

    async def _follow_up(self, source: str, object_id: str, event_ids: list[str]) -> None:
        async with self._room:
            try:
                note = await self._look(source, object_id)
                await self._note_end(source, event_ids, note)
            except Exception as error:
                log.warning("follow_up_failed", source=source, object_id=object_id, error=type(error).__name__)
                await self._note_failure(source, event_ids, error)

    async def _look(self, source: str, object_id: str) -> str | None:
        try:
            await self._pokes[source].look(object_id)
        except OurMistake as error:  # e.g. an object that the far end does not know: asking again cannot help
            return _words(error)
        return None

    async def _note_end(self, source: str, event_ids: list[str], note: str | None) -> None:
        at = now()
        ended = (
            update(inbox)
            .where(inbox.c.source == source, inbox.c.event_id.in_(event_ids), inbox.c.processed_at.is_(None))
            .values(processed_at=at, last_error=note)
            .returning(inbox.c.received_at)
        )
        async with self._writes.connect() as connection:
            arrivals = (await connection.execute(ended)).scalars().all()
        for arrived in arrivals:
            self._followed_up(source, (at - arrived).total_seconds())

    async def _note_failure(self, source: str, event_ids: list[str], error: Exception) -> None:
        try:
            rows = update(inbox).where(inbox.c.source == source, inbox.c.event_id.in_(event_ids))
            async with self._writes.connect() as connection:
                await connection.execute(rows.values(last_error=_words(error)))
        except Exception as second:
            log.warning("inbox_not_updated", source=source, error=type(second).__name__)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _claim() -> ReturningUpdate[tuple[str, str, str]]:
    """Takes unprocessed events on, each by one process only, in a statement that holds no lock afterwards."""
    at = now()
    due = (
        select(inbox.c.source, inbox.c.event_id)
        .where(inbox.c.processed_at.is_(None), inbox.c.attempted_at < at - LEFT_ALONE)
        .order_by(inbox.c.attempted_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    return (
        update(inbox)
        .where(tuple_(inbox.c.source, inbox.c.event_id).in_(due))
        .values(attempted_at=at)
        .returning(inbox.c.source, inbox.c.event_id, inbox.c.object_id)
    )
