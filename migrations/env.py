"""Alembic's environment: the same settings, driver and tables as the service, with the time limits of a migration."""

from __future__ import annotations

import asyncio
import random
import time

import asyncpg
from alembic import context
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.database import Timeouts, create_engine
from adapters.settings import Settings
from migrations.grants import grant_declared
from migrations.online import end_vacuums, limit_locks
from services.tables import METADATA

# A statement may build an index for an hour; how long each may wait for its lock: see `online.py`.
TIMEOUTS = Timeouts(statement=None, transaction=None)
PATIENCE = 600.0  # seconds that a run tries to get its locks
PAUSE = 0.5, 1.5  # seconds between two tries, so that those who waited behind the last one get on
ONE_RUN = "SELECT pg_try_advisory_lock(hashtext('ordersaga.migrations'))"


def run(connection: Connection) -> None:
    limit_locks(connection)
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,  # so that one may build its indexes outside of a transaction
    )
    with context.begin_transaction():
        context.run_migrations()
    grant_declared(connection)


async def migrate() -> None:
    """Tries until the locks can be had: every try goes on at the revision that the last one reached."""
    without_keys = Settings().model_copy(update={"customer_keys_file": None})  # a migration opens nothing
    engine = create_engine(without_keys, TIMEOUTS)
    until = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                async with engine.connect() as connection:
                    await _be_the_only_one(connection, until)
                    await connection.run_sync(run)
                    await connection.commit()
                return
            except DBAPIError as error:
                if not _is_lock_timeout(error) or time.monotonic() > until:
                    raise
                context.config.print_stdout(
                    "a table is in use, trying again: %s", " ".join(str(error.statement).split())
                )
            await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311  # a pause
            async with engine.connect() as connection:
                await connection.run_sync(end_vacuums)
    finally:
        await engine.dispose()


async def _be_the_only_one(connection: AsyncConnection, until: float) -> None:
    """Waits while another run is at work; the lock ends with the connection.

    Asked again and again: whoever waits *in* a statement has a snapshot that an index build of the other waits for.
    """
    while not (await connection.execute(text(ONE_RUN))).scalar_one():
        await connection.commit()
        if time.monotonic() > until:
            raise TimeoutError("another run of the migrations has been at work for long")
        await asyncio.sleep(PAUSE[0])
    await connection.commit()


def _is_lock_timeout(error: DBAPIError) -> bool:
    return isinstance(error.orig.__cause__ if error.orig else None, asyncpg.LockNotAvailableError)


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=METADATA, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(migrate())
