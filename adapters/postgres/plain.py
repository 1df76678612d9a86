"""Statements by the driver itself: for those that run so often that SQLAlchemy's part would be most of their cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

LARGE = 5  # connections of a pool that can spare one for a while


def can_spare(engine: AsyncEngine) -> bool:
    """Whether whoever keeps a connection leaves enough to the others, and to itself."""
    pool = engine.pool
    return isinstance(pool, QueuePool) and pool.size() >= LARGE


class Plain:
    """A connection of a pool; its places are `$1` and so on. Each statement commits by itself."""

    def __init__(self, driver: asyncpg.Connection) -> None:
        self._driver = driver

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """The rows of a statement. Raises what the driver raises, and OSError or TimeoutError."""
        try:
            rows: list[asyncpg.Record] = await self._driver.fetch(statement, *values)
        except BaseException:
            self._driver.terminate()  # whether it is still of use is not known; the pool opens another one
            raise
        return rows


@asynccontextmanager
async def plain(engine: AsyncEngine) -> AsyncIterator[Plain]:
    """For several statements: to take a connection costs more than a short one."""
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, asyncpg.Connection)
        yield Plain(driver)


async def fetch(engine: AsyncEngine, statement: str, *values: Any) -> list[asyncpg.Record]:
    """The rows of one statement. Raises as `Plain.fetch`."""
    async with plain(engine) as connection:
        return await connection.fetch(statement, *values)
