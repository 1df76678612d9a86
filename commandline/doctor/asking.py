"""How the checks of `ordersaga doctor` ask the database: one that is away is the affair of one check alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.database import create_engine, dispose
from adapters.settings import Settings

Answer = TypeVar("Answer")


async def ask(settings: Settings, question: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer | None:
    """What the question finds; None where there is no database to ask, since the check of the database says why."""
    try:
        engine = create_engine(settings)
    except (ValueError, SQLAlchemyError):
        return None
    try:
        async with engine.connect() as connection:
            return await question(connection)
    except (OSError, TimeoutError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    finally:
        await dispose(engine)
