"""Alembic's environment: the same settings, driver and tables as the service."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from adapters import brake_tables, cancel_wishes, repair_tables, saga_tables, tables, texts
from adapters.database import create_engine
from adapters.settings import Settings

for module in (brake_tables, cancel_wishes, repair_tables, saga_tables, tables, texts):
    assert module.SQLModel.metadata is SQLModel.metadata


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,  # so that one may build its indexes outside of a transaction
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate() -> None:
    engine = create_engine(Settings())
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=SQLModel.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(migrate())
