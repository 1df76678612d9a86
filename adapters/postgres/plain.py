"""Statements by the driver itself: for those that run so often that SQLAlchemy's part would be most of their cost."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine


async def fetch(engine: AsyncEngine, statement: str, *values: Any) -> list[asyncpg.Record]:
    """The rows of one statement, which commits by itself; its places are `$1` and so on.

    Raises what the driver raises, and OSError or TimeoutError.
    """
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, asyncpg.Connection)
        try:
            rows: list[asyncpg.Record] = await driver.fetch(statement, *values)
        except BaseException:
            driver.terminate()  # whether it is still of use is not known; the pool opens another one
            raise
        return rows
