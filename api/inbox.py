"""The inbox of webhooks: each event is stored once, answered, then followed up; a crash loses none.

Following up never trusts the event: it looks at the current state at the far end (`pokes.py`), so that doubles,
old news and two processes at once do no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.dml import ReturningUpdate

from adapters.columns import now
from adapters.saga_tables import InboxEvent
from domain.errors import OurMistake

AT_ONCE = 8  # follow-ups of one process at a time
WAITING = 1000  # follow-ups that wait in one process; what is above comes with the next sweep
BATCH = 100  # events that one sweep takes
LEFT_ALONE = timedelta(seconds=5)  # an event that somebody took on is not taken by others for this long

Poke = Callable[[str], Awaitable[None]]
"""Looks at the object of this id at the far end and tells its workflow what is new."""

inbox = InboxEvent.__table__  # type: ignore[attr-defined]
log = structlog.get_logger()


class Arrived(NamedTuple):
    source: str
    event_id: str
    type: str
    object_id: str | None  # None: nothing to follow up


class Inbox:
    def __init__(self, writes: AsyncEngine, pokes: Mapping[str, Poke]) -> None:
        """`writes` commits each statement by itself; `pokes` by source."""
        self._writes = writes
        self._pokes = pokes
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def take_in(self, event: Arrived) -> bool:
        """Stores the event and follows it up soon; False when it was there already."""
        at = now()
        statement = (
            insert(inbox)
            .values(
                source=event.source,
                event_id=event.event_id,
                type=event.type,
                object_id=event.object_id or "",
                received_at=at,
                attempted_at=at,
                processed_at=None if event.object_id else at,
            )
            .on_conflict_do_nothing()
        )
        async with self._writes.connect() as connection:
            is_new = (await connection.execute(statement)).rowcount == 1
        if is_new and event.object_id and len(self._tasks) < WAITING:
            task = asyncio.create_task(self._follow_up(event.source, event.event_id, event.object_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return is_new

    async def sweep(self) -> int:
        """Follows up events that a crash or a far end's bad day left behind; how many it took."""
        async with self._writes.connect() as connection:
            rows = (await connection.execute(_claim())).all()
        await asyncio.gather(*(self._follow_up(row.source, row.event_id, row.object_id) for row in rows))
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

    async def _follow_up(self, source: str, event_id: str, object_id: str) -> None:
        async with self._room:
            try:
                problem = await self._poke(source, object_id)
                await self._note(source, event_id, processed_at=now(), last_error=problem)
            except Exception as error:
                log.warning("follow_up_failed", source=source, event_id=event_id, error=type(error).__name__)
                await self._note_failure(source, event_id, error)

    async def _poke(self, source: str, object_id: str) -> str | None:
        try:
            await self._pokes[source](object_id)
        except OurMistake as error:  # e.g. an object that the far end does not know: asking again cannot help
            return _words(error)
        return None

    async def _note_failure(self, source: str, event_id: str, error: Exception) -> None:
        try:
            await self._note(source, event_id, last_error=_words(error))
        except Exception as second:
            log.warning("inbox_not_updated", source=source, event_id=event_id, error=type(second).__name__)

    async def _note(self, source: str, event_id: str, **values: object) -> None:
        statement = update(inbox).where(inbox.c.source == source, inbox.c.event_id == event_id).values(**values)
        async with self._writes.connect() as connection:
            await connection.execute(statement)


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
