"""Which shares of some work this process owns: advisory locks on a connection of their own.

PostgreSQL gives a lock back when the connection ends, however it ends. A process that was paused may not know yet
that it has lost its locks: whoever uses them must bear two owners for a while.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Collection
from contextlib import suppress

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.database import create_engine, dispose
from adapters.settings import Settings

CHECK_EVERY = 1.0  # seconds between two looks at who else is there
PATIENCE = 2.0  # seconds for one statement
GONE_AFTER = 30.0  # seconds without a look, after which the server takes a process for stopped
MEMBER = -1  # the lock that every process shares that wants partitions

_PEERS = """
    SELECT count(*) FROM pg_locks
     WHERE locktype = 'advisory' AND granted AND classid::bigint = $1::bigint AND objid::bigint = $2::bigint
       AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

log = structlog.get_logger(__name__)


class PartitionLocks:
    """The partitions of one process, from `total`; with others of the same `name` it shares them evenly."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        total: int,
        check_every: float = CHECK_EVERY,
        gone_after: float = GONE_AFTER,
    ) -> None:
        """`gone_after`: seconds without `renew` after which the server ends the connection, and others take over."""
        self._settings = settings.model_copy(update={"database_pool_size": 1})
        self._space = zlib.crc32(f"ordersaga {name}".encode()) & 0x7FFFFFFF
        self._total, self._check_every, self._gone_after = total, check_every, gone_after
        self._held: set[int] = set()
        self._checked_at = float("-inf")
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._driver: asyncpg.Connection | None = None

    @property
    def held(self) -> Collection[int]:
        """The partitions that are owned, as far as this process knows."""
        return frozenset(self._held)

    async def renew(self) -> Collection[int]:
        """The same after a look at who else is there, at most once in a while; nothing while PostgreSQL is away.

        Call it between two pieces of work: a partition that becomes another's is given back here.
        """
        if self._driver is not None and self._driver.is_closed():
            await self.aclose()
        if time.monotonic() - self._checked_at < self._check_every:
            return self.held
        self._checked_at = time.monotonic()
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await self._share()
        except Exception as error:
            log.warning("partitions_lost", error=type(error).__name__)
            await self.aclose()
        return self.held

    async def aclose(self) -> None:
        """Gives all partitions back."""
        driver, connection, engine = self._driver, self._connection, self._engine
        self._forget()
        if driver is not None:
            driver.terminate()  # it holds locks: the pool must not hand it out again
        if connection is not None:
            with suppress(Exception):
                await connection.close()
        if engine is not None:
            await dispose(engine)

    def _forget(self) -> None:
        self._held.clear()
        self._driver = self._connection = self._engine = None

    async def _share(self) -> None:
        driver = self._driver or await self._connect()
        peers = await driver.fetchval(_PEERS, self._space, MEMBER & 0xFFFFFFFF, timeout=PATIENCE)
        fair = -(-self._total // max(1, peers))
        for partition in sorted(self._held)[fair:]:
            await driver.fetchval("SELECT pg_advisory_unlock($1, $2)", self._space, partition, timeout=PATIENCE)
            self._held.discard(partition)
        for partition in range(self._total):
            if len(self._held) >= fair:
                break
            if partition not in self._held and await self._try_lock(driver, partition):
                self._held.add(partition)

    async def _try_lock(self, driver: asyncpg.Connection, partition: int) -> bool:
        taken = await driver.fetchval("SELECT pg_try_advisory_lock($1, $2)", self._space, partition, timeout=PATIENCE)
        return bool(taken)

    async def _connect(self) -> asyncpg.Connection:
        self._engine = create_engine(self._settings)
        self._connection = await self._engine.connect()
        driver = (await self._connection.get_raw_connection()).driver_connection
        assert isinstance(driver, asyncpg.Connection)
        self._driver = driver
        driver.add_termination_listener(self._lost)
        await driver.execute(f"SET idle_session_timeout = '{round(1000 * self._gone_after)}ms'", timeout=PATIENCE)
        await driver.fetchval("SELECT pg_try_advisory_lock_shared($1, $2)", self._space, MEMBER, timeout=PATIENCE)
        return driver

    def _lost(self, gone: object) -> None:
        if gone is self._driver:
            self._held.clear()
