"""Whether PostgreSQL and Temporal can be reached: questions that are answered in time whatever the network does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.postgres.database import create_engine, dispose
from adapters.settings import Settings

PATIENCE = 2.0  # seconds for one part to answer

OK, AWAY = "ok", "away"

_left_behind: set[asyncio.Task[None]] = set()  # questions that nobody waits for any more, until they have cleaned up


async def parts(engine: AsyncEngine, temporal: Client) -> dict[str, str]:
    """`ok` or `away` for PostgreSQL and Temporal, after two seconds at most.

    PostgreSQL is asked through the pool of `engine`: what serves requests or steps is what has to work.
    """
    answers = await asyncio.gather(answers_in_time(_query(engine)), answers_in_time(_check(temporal)))
    return dict(zip(("postgresql", "temporal"), [OK if there else AWAY for there in answers], strict=True))


async def takes_a_new_connection(settings: Settings) -> bool:
    """Whether PostgreSQL answers on a connection that is opened for the question."""
    engine = create_engine(settings.model_copy(update={"database_pool_size": 1}))
    try:
        return await answers_in_time(_query(engine), 2 * settings.database_connect_timeout)
    finally:
        await dispose(engine)


async def answers_in_time(question: Coroutine[Any, Any, None], seconds: float = PATIENCE) -> bool:
    """Whether it succeeds within `seconds`. One that does not is canceled, and cleans up without being waited for."""
    task = asyncio.ensure_future(question)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            _left_behind.add(task)
            task.add_done_callback(_forget)
    return task.done() and not task.cancelled() and task.exception() is None


def _forget(task: asyncio.Task[None]) -> None:
    _left_behind.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not log it


async def _query(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _check(client: Client) -> None:
    await client.service_client.check_health(timeout=timedelta(seconds=PATIENCE))
