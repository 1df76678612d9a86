"""Hints that other processes should look at something: gathered here, and sent by few notifications.

A hint is given after the commit of what it is about, costs its giver next to nothing and never fails. It may be lost:
whoever listens looks by itself, too (`notifications.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.plain import can_spare

SPACING = 0.005  # seconds from one statement of a process to its next one
KEPT = 0.5  # seconds without a hint after which the connection goes back to its pool
AFTER_FAILURE = 1.0  # seconds: the database is away
LAST_SEND = 1.0  # seconds for what is left when the process ends
MOST = 5000  # subjects of one channel that wait; from then on it is told to look at everything
PAYLOAD = 7900  # bytes; PostgreSQL takes less than 8000
EVERYTHING = ""

# Nobody waits for these commits to be on the disk: a notification that a crash loses does no harm.
_NOTIFY = """
    SELECT set_config('synchronous_commit', 'off', true), pg_notify(channel, payload)
      FROM unnest($1::text[], $2::text[]) AS hint (channel, payload)
"""

log = structlog.get_logger(__name__)


class Hints:
    """The hints of one process. The first one is sent at once, what comes meanwhile together with the next."""

    def __init__(self, engine: AsyncEngine, spacing: float = SPACING) -> None:
        """`spacing`: seconds from one statement to the next."""
        self._engine = engine
        self._spacing = spacing
        self.waiting: dict[str, dict[str, None]] = {}  # subjects by channel, in the order in which they were given
        self._sending: asyncio.Task[None] | None = None
        self._given = asyncio.Event()
        self._closed = False
        self._kept = KEPT if can_spare(engine) else 0.0

    def give(self, channel: str, subject: str = EVERYTHING) -> None:
        """Tells those who listen to the channel to look at the subject, a word without spaces.

        Never call it inside the transaction that it is about: they would look too early.
        """
        if self._closed:
            return
        subjects = self.waiting.setdefault(channel, {})
        subjects[subject] = None
        if len(subjects) > MOST:
            self.waiting[channel] = {EVERYTHING: None}
        self._given.set()
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def aclose(self) -> None:
        """Sends what is left, for a second at most."""
        self._closed = True
        self._given.set()
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=LAST_SEND)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> None:
        """While hints come it keeps a connection of the pool: to take one costs three times what a hint does."""
        while self.waiting:
            try:
                async with self._engine.connect() as connection:
                    driver = (await connection.get_raw_connection()).driver_connection
                    while self.waiting:
                        await self._tell(driver)
                        await asyncio.sleep(self._spacing)
                        await self._wait_for_more()
            except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.warning("hints_not_sent", error=type(error).__name__)
                await asyncio.sleep(AFTER_FAILURE)

    async def _wait_for_more(self) -> None:
        self._given.clear()
        if not self.waiting and not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._kept):
                    await self._given.wait()

    async def _tell(self, driver: Any) -> None:
        """By the driver itself: SQLAlchemy's part of such a statement costs more than the statement."""
        given, self.waiting = self.waiting, {}
        sent = [(channel, payload) for channel, subjects in given.items() for payload in payloads(subjects)]
        channels, said = zip(*sent, strict=True)
        try:
            await driver.fetch(_NOTIFY, channels, said)
        except BaseException:
            driver.terminate()  # whether it is still of use is not known; the pool opens another one
            raise


def payloads(subjects: Sequence[str] | dict[str, None]) -> Iterator[str]:
    """The subjects as few payloads, with a space between two; an empty one for "look at everything"."""
    if EVERYTHING in subjects:
        yield EVERYTHING
        return
    payload: list[str] = []
    size = 0
    for subject in subjects:
        if payload and size + len(subject.encode()) >= PAYLOAD:
            yield " ".join(payload)
            payload, size = [], 0
        payload.append(subject)
        size += len(subject.encode()) + 1
    yield " ".join(payload)


def subjects_of(payload: str) -> list[str]:
    """What a payload asks to look at; nothing for "look at everything"."""
    return payload.split()
