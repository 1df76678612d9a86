"""Wake-up calls between processes through PostgreSQL's NOTIFY and LISTEN.

A notification may be lost: nobody listens while a connection is away, and nothing is kept for later. Whoever listens
looks for work by itself, too. https://www.postgresql.org/docs/current/sql-notify.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.database import create_engine, dispose
from adapters.settings import Settings

CHECK_EVERY = 10.0  # seconds between two questions whether a silent connection still works
CHECK_TIMEOUT = 2.0  # seconds for the answer
FIRST_RETRY, LAST_RETRY = 0.1, 5.0  # seconds between two tries to listen again

# A commit that notifies would wait for the disk as any other; a notification that a crash loses does no harm.
_NOTIFY = text("SELECT set_config('synchronous_commit', 'off', true), pg_notify(:channel, '')")

log = structlog.get_logger(__name__)


async def notify(connection: AsyncConnection, channel: str) -> None:
    """Wakes everybody who listens to the channel. A failure is logged and not raised.

    `connection` must be in autocommit: inside a transaction a NOTIFY makes all commits of the database wait for each
    other, since the server takes one lock from the NOTIFY's commit to its end.
    """
    try:
        await connection.execute(_NOTIFY, {"channel": channel})
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        log.warning("notification_lost", channel=channel, error=type(error).__name__)


class Listener:
    """Listens to one channel on a connection of its own, and connects again whenever that is lost."""

    def __init__(
        self,
        settings: Settings,
        channel: str,
        heard: Callable[[], None],
        named: Callable[[str], None] | None = None,
    ) -> None:
        """`heard` is called for each notification, and whenever listening begins: some may have been missed.

        `named`, where it is given, gets what a notification says instead, if it says anything (`hints.py`).
        """
        self._settings, self._channel, self._heard, self._named = settings, channel, heard, named
        self.listening = asyncio.Event()

    async def listen_forever(self) -> None:
        """Until it is canceled."""
        engine = create_engine(self._settings.model_copy(update={"database_pool_size": 1}))
        retry = FIRST_RETRY
        try:
            while True:
                try:
                    await self._listen(engine)
                except Exception as error:
                    log.warning("not_listening", channel=self._channel, error=type(error).__name__)
                retry = FIRST_RETRY if self.listening.is_set() else min(2 * retry, LAST_RETRY)
                self.listening.clear()
                await asyncio.sleep(retry)
        finally:
            await dispose(engine)

    def _take(self, connection: Any, process: int, channel: str, payload: Any) -> None:
        if payload and self._named is not None:
            self._named(str(payload))
        else:
            self._heard()

    async def _listen(self, engine: AsyncEngine) -> None:
        """Comes back when the connection is lost. Raises what the driver raises."""
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, asyncpg.Connection)
            lost = asyncio.Event()
            driver.add_termination_listener(lambda _: lost.set())
            try:
                await driver.add_listener(self._channel, self._take)
                self.listening.set()
                self._heard()
                while not lost.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(CHECK_EVERY):
                            await lost.wait()
                    if not lost.is_set():
                        await driver.execute("SELECT 1", timeout=CHECK_TIMEOUT)
            finally:
                driver.terminate()  # it listens: the pool must not hand it out again
        log.warning("listening_connection_lost", channel=self._channel)
