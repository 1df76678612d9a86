"""The connection to PostgreSQL: engine and sessions, made by the entry points."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.settings import Settings

Sessions = async_sessionmaker[AsyncSession]

LOCK_TIMEOUT = "5s"  # a lock that takes longer is an error to retry, not a connection to hold
STATEMENT_TIMEOUT = "15s"


def create_engine(settings: Settings) -> AsyncEngine:
    engine = create_async_engine(
        settings.sqlalchemy_url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        hide_parameters=True,  # and see `_forget_values`
        pool_timeout=10,
        connect_args={
            "timeout": 5,
            "server_settings": {
                "application_name": "ordersaga",
                "lock_timeout": LOCK_TIMEOUT,
                "statement_timeout": STATEMENT_TIMEOUT,
                "timezone": "UTC",
                "jit": "off",  # every statement is short: compiling it costs more than it saves
            },
        },
    )
    event.listen(engine.sync_engine, "checkout", _replace_if_closed)
    event.listen(engine.sync_engine, "handle_error", _forget_values)
    return engine


QUOTED_VALUE = re.compile(r"(invalid input [^:]*): .*", re.DOTALL)


def _forget_values(context: ExceptionContext) -> None:
    """Keeps an error of the database from carrying an address into a log or a history.

    PostgreSQL quotes whole rows in the DETAIL of an error ("Failing row contains ..."), and values in a few messages.
    """
    original = context.original_exception
    for error in (context.sqlalchemy_exception, original, original.__cause__):
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
        if error is not None:
            error.args = tuple(QUOTED_VALUE.sub(r"\1", arg) if isinstance(arg, str) else arg for arg in error.args)


def _replace_if_closed(connection: Any, record: Any, proxy: Any) -> None:
    """Makes the pool open another connection where the server closed this one, e.g. at its restart.

    The driver knows without asking the server, so that it costs no round trip, unlike `pool_pre_ping`.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def create_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
