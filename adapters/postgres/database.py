"""The connection to PostgreSQL: engine and sessions, made by the entry points.

Nothing here waits without an end: not a connect, a statement, a commit, a rollback, a close, nor the wait for a free
connection. The server has limits of its own, so that a client that vanished does not keep its locks. See `Timeouts`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
import structlog
from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.keys.connect import VAULT, open_vault
from adapters.postgres import sockets
from adapters.settings import Settings

Sessions = async_sessionmaker[AsyncSession]

ANSWER = 2.0  # seconds at most that the server's own refusal of a statement may be on its way
TRUSTED = 5.0  # seconds after its last use in which a connection is taken to work
PING = 1.0  # seconds for the answer of a connection that was not used for longer
CLOSING = 5.0  # seconds for the close of a whole pool
CONNECTS_AT_ONCE = 4  # of one pool
TRANSACTION_TIMEOUT_SINCE = 17  # PostgreSQL: an older one refuses connections that name the setting

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Timeouts:
    """How long everything that can hang may take, in seconds; None is without limit.

    `lock` to `idle_in_transaction` are kept by the server
    (https://www.postgresql.org/docs/current/runtime-config-client.html#RUNTIME-CONFIG-CLIENT-STATEMENT). They do not
    help where packets vanish, so the driver gives up a little after the server should have: `command_timeout` of
    https://magicstack.github.io/asyncpg/current/api/index.html#asyncpg.connection.connect.
    """

    connect: float = 5.0  # until logged in: TCP, TLS and authentication together
    pool: float | None = 10.0  # for a free connection of the pool
    lock: float | None = 5.0  # a lock that takes longer is an error to retry, not a connection to hold
    statement: float | None = 15.0
    transaction: float | None = 30.0  # by PostgreSQL 17 and later
    idle_in_transaction: float | None = 10.0  # then the server ends the session, and with it the locks

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of the service: a transaction may take as long as two statements, the pool as two connects."""
        statement = settings.database_statement_timeout
        return cls(
            connect=settings.database_connect_timeout,
            pool=2 * settings.database_connect_timeout,
            lock=min(5.0, statement),
            statement=statement,
            transaction=2 * statement,
            idle_in_transaction=settings.database_idle_in_transaction_timeout,
        )

    @property
    def command(self) -> float | None:
        """When the driver gives a statement up, and its connection with it."""
        return None if self.statement is None else self.statement + min(ANSWER, self.statement)

    def server_settings(self) -> dict[str, str]:
        """What every session begins with; a server whose system lacks one of the TCP options ignores it.

        https://www.postgresql.org/docs/current/runtime-config-connection.html#RUNTIME-CONFIG-TCP-SETTINGS
        """
        return {
            "lock_timeout": _milliseconds(self.lock),
            "statement_timeout": _milliseconds(self.statement),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_in_transaction),
            "tcp_keepalives_idle": f"{sockets.KEEPALIVE_IDLE}s",
            "tcp_keepalives_interval": f"{sockets.KEEPALIVE_INTERVAL}s",
            "tcp_keepalives_count": str(sockets.KEEPALIVE_COUNT),
            "tcp_user_timeout": f"{sockets.UNACKNOWLEDGED}s",
        }


def _milliseconds(seconds: float | None) -> str:
    return f"{round((seconds or 0) * 1000)}ms"  # 0 turns a limit off


class Door:
    """Lets a few connects of a pool through at a time; `connect` opens one connection.

    After an outage every step that waits wants a connection at once. All together they would take longer than each of
    them may, so that none came through, and all began again. Who waits for longer than `patience` (seconds, None
    without limit) gets a TimeoutError.
    """

    def __init__(
        self,
        patience: float | None,
        at_once: int = CONNECTS_AT_ONCE,
        connect: Callable[..., Awaitable[Any]] = asyncpg.connect,
    ) -> None:
        self._patience, self._connect = patience, connect
        self._room = asyncio.Semaphore(at_once)

    async def pass_through(self, *args: Any, **options: Any) -> Any:
        async with asyncio.timeout(self._patience):
            await self._room.acquire()
        try:
            return await self._connect(*args, **options)
        finally:
            self._room.release()


def create_engine(settings: Settings, timeouts: Timeouts | None = None) -> AsyncEngine:
    """An engine with a pool of its own; `timeouts` are the service's unless others are given, e.g. for migrations."""
    limits = timeouts or Timeouts.of(settings)
    engine = create_async_engine(
        settings.sqlalchemy_url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # so that few connections are used often, and are seldom asked whether they work
        pool_timeout=limits.pool,
        hide_parameters=True,  # and see `_forget_values`
        execution_options={VAULT: open_vault(settings)},  # with what personal data is sealed and opened
        connect_args={
            "async_creator_fn": Door(limits.pool).pass_through,
            "timeout": limits.connect,
            "command_timeout": limits.command,
            "server_settings": {
                "application_name": "ordersaga",
                "timezone": "UTC",
                "jit": "off",  # every statement is short: compiling it costs more than it saves
                **limits.server_settings(),
            },
        },
    )

    def connected(connection: Any, record: Any) -> None:
        _set_up(connection, limits)
        record.info["used"] = time.monotonic()

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "checkout", _replace_if_dead)
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "handle_error", _give_up_if_silent)
    event.listen(engine.sync_engine, "handle_error", _forget_values)
    return engine


def _set_up(connection: Any, limits: Timeouts) -> None:
    """What cannot be said while connecting."""
    driver = connection.driver_connection
    transport = getattr(driver, "_transport", None)  # asyncpg has no public way to its socket
    if transport is not None:
        sockets.notice_silence(transport.get_extra_info("socket"))
    if limits.transaction is not None and driver.get_server_version().major >= TRANSACTION_TIMEOUT_SINCE:
        said = f"SET transaction_timeout = '{_milliseconds(limits.transaction)}'"
        connection.run_async(lambda driver: driver.execute(said))


def _replace_if_dead(connection: Any, record: Any, proxy: Any) -> None:
    """Makes the pool open another connection where this one is closed, or was idle and does not answer.

    The driver knows without asking that the server closed one, e.g. at its restart. Packets that vanish tell it
    nothing: so one that was idle is asked, which unlike `pool_pre_ping` costs a busy service no round trip.
    """
    driver = connection.driver_connection
    if driver.is_closed():
        raise DisconnectionError
    if time.monotonic() - record.info["used"] < TRUSTED:
        return
    try:
        connection.run_async(lambda driver: driver.execute("SELECT 1", timeout=PING))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.warning("idle database connection is dead", error=type(error).__name__)
        driver.terminate()
        raise InvalidatePoolError from None  # the others have probably been idle for as long


def _note_use(connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _give_up_if_silent(context: ExceptionContext) -> None:
    """Ends a connection whose server did not answer in time, so that no rollback and no close waits for it once more.

    The driver's timeout leaves the connection open, and asks the server by a second one to cancel the statement.
    """
    if not isinstance(context.original_exception, TimeoutError):
        return
    context.is_disconnect = True
    if context.connection is not None and not context.connection.invalidated:
        driver = context.connection.connection.driver_connection
        if driver is not None:
            driver.terminate()


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


def create_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


def engine_of(sessions: Sessions) -> AsyncEngine:
    """What the sessions talk to."""
    engine: AsyncEngine = sessions.kw["bind"]
    return engine


def autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same pool, where each statement is a transaction of its own: without round trips for begin and commit."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


async def dispose(engine: AsyncEngine) -> None:
    """Closes the pool's connections; those that do not end within five seconds are left to the kernel."""
    try:
        async with asyncio.timeout(CLOSING):
            await engine.dispose()
    except (OSError, TimeoutError) as error:
        log.warning("database connections left open", error=type(error).__name__)
