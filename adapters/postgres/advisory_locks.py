"""Who does what among several processes: advisory locks of the session, on a connection of their own.

The server frees them when the connection ends, also when its process was killed. They keep two from doing the same
work; they prove nothing to somebody who was paused: what must not happen twice is guarded by a row as well.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.database import create_engine, dispose
from adapters.settings import Settings

CHECK_TIMEOUT = 2.0  # seconds for an answer of the connection

_TAKE = "SELECT key FROM (SELECT key, pg_try_advisory_lock($1, key) AS got FROM unnest($2::int[]) AS key) t WHERE got"
_FREE = "SELECT pg_advisory_unlock($1, $2)"
_HOLDERS = text("""
    SELECT objid::bigint AS key,
           coalesce(host(client_addr) || ':' || client_port, 'a process beside the database') AS who
      FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
     WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid::bigint = :namespace
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")

log = structlog.get_logger(__name__)


class AdvisoryLocks:
    """The locks of one process in one `namespace`; an async context manager, which frees all of them."""

    def __init__(self, settings: Settings, namespace: int) -> None:
        """Connects with the first `take`."""
        self._engine: AsyncEngine = create_engine(settings.model_copy(update={"database_pool_size": 1}))
        self._namespace = namespace
        self._turn = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._driver: Any = None
        self._held: dict[int, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()
        await dispose(self._engine)

    def holds(self, name: str) -> bool:
        """Whether the lock is held, as far as this process has heard."""
        return _key(name) in self._held

    async def take(self, names: Collection[str]) -> set[str]:
        """Those of the locks that are ours now, without waiting for the others. Raises what the driver raises."""
        async with self._turn:
            driver = await self._connected()
            wanted = {_key(name): name for name in names if _key(name) not in self._held}
            # Asked also where nothing is wanted: so a connection that has died is noticed.
            try:
                got = await driver.fetch(_TAKE, self._namespace, list(wanted), timeout=CHECK_TIMEOUT)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._hang_up()  # whether the locks are still ours is not known: they are given up
                raise
            self._held |= {row["key"]: wanted[row["key"]] for row in got}
            return {name for name in names if _key(name) in self._held}

    async def free(self, name: str) -> None:
        """Gives one lock back."""
        async with self._turn:
            if self._held.pop(_key(name), None) is not None:
                await self._driver.execute(_FREE, self._namespace, _key(name), timeout=CHECK_TIMEOUT)

    async def _connected(self) -> Any:
        if self._driver is None or self._driver.is_closed():
            await self._hang_up()
            self._connection = await self._engine.connect()  # kept: the pool would hand it on
            self._driver = (await self._connection.get_raw_connection()).driver_connection
            assert isinstance(self._driver, asyncpg.Connection)
            self._driver.add_termination_listener(self._lost)
        return self._driver

    async def _hang_up(self) -> None:
        self._held.clear()
        if self._connection is not None:
            self._driver.terminate()  # the server frees the locks at once
            await self._connection.close()
        self._connection = self._driver = None

    def _lost(self, driver: Any) -> None:
        if driver is self._driver and self._held:
            log.warning("advisory_locks_lost", locks=len(self._held))
            self._held.clear()


async def holders(connection: AsyncConnection, namespace: int, names: Collection[str]) -> dict[str, str]:
    """By lock the address of the connection that holds it, for those that somebody holds."""
    unsigned = {_key(name) & 0xFFFFFFFF: name for name in names}  # as the view has them
    held = await connection.execute(_HOLDERS, {"namespace": namespace})
    return {unsigned[row.key]: row.who for row in held if row.key in unsigned}


def _key(name: str) -> int:
    """A signed 32-bit number."""
    return zlib.crc32(name.encode()) - 2**31
