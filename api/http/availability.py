"""Tells a database that is away (503: try again) from a mistake of ours (500)."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, resources, operator intervention
# (57: shutdown, starting up, statement timeout), lock not available, serialization failure, deadlock, timeouts of
# an idle transaction and of a whole one.
_AWAY_CLASSES = ("08", "53", "57")
_AWAY_STATES = frozenset(["55P03", "40001", "40P01", "25P03", "25P04"])


def database_is_away(error: BaseException) -> bool:
    """Whether PostgreSQL could not be reached or had no room for us, so that the same request may work later."""
    if isinstance(error, OSError | PoolTimeout | asyncpg.InterfaceError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return _is_away_state(error.sqlstate)
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or _is_away_state(getattr(error.orig, "sqlstate", None)):
            return True
        return error.orig is not None and _lost_connection(error.orig)
    return isinstance(error, SQLAlchemyError) and error.__cause__ is not None and database_is_away(error.__cause__)


def _lost_connection(driver_error: BaseException) -> bool:
    """The driver's own error behind the one of the database API, which SQLAlchemy keeps as its cause."""
    cause = driver_error.__cause__
    return isinstance(cause, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError)


def _is_away_state(sqlstate: str | None) -> bool:
    return sqlstate is not None and (sqlstate[:2] in _AWAY_CLASSES or sqlstate in _AWAY_STATES)
