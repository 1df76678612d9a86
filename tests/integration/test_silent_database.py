"""Packets to and from PostgreSQL vanish, without FIN or RST: nothing that uses the pool waits without an end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import sockets
from adapters.postgres.database import Timeouts, create_engine, dispose
from adapters.settings import Settings
from api.http.availability import database_is_away
from chaos.proxy import Proxy
from tests.support.links import database_link
from tests.support.orders import Shop
from tests.support.waiting import until

pytestmark = pytest.mark.slow

LONGEST = 15  # seconds: several times what all deadlines of the test add up to, and nothing beside waiting for ever
POOL = 2


@asynccontextmanager
async def a_link(settings: Settings) -> AsyncIterator[tuple[Proxy, AsyncEngine]]:
    async with database_link(settings.model_copy(update={"database_pool_size": POOL})) as (proxy, through):
        engine = create_engine(through)
        yield proxy, engine
        proxy.heal()
        async with asyncio.timeout(LONGEST):
            await dispose(engine)


@pytest.fixture
async def link(settings: Settings) -> AsyncIterator[tuple[Proxy, AsyncEngine]]:
    async with a_link(settings) as link:
        yield link


async def _works(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return bool(await connection.scalar(text("SELECT true")))


async def _all_free(engine: AsyncEngine) -> None:
    """Every connection of the pool can be had at once, and works."""

    async def one() -> bool:
        async with engine.connect() as connection:
            arrived.append(None)
            await until(all_arrived, True)
            return bool(await connection.scalar(text("SELECT true")))

    async def all_arrived() -> bool:
        return len(arrived) == POOL

    arrived: list[None] = []
    assert await asyncio.gather(*(one() for _ in range(POOL))) == [True] * POOL


async def _statement(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT 1"))


async def _commit(connection: AsyncConnection) -> None:
    await connection.commit()


async def _rollback(connection: AsyncConnection) -> None:
    await connection.rollback()


async def _return(connection: AsyncConnection) -> None:
    await connection.close()


async def _late_row(connection: AsyncConnection) -> None:
    async with connection.stream(text("SELECT generate_series(1, 10000)")) as rows:
        async for _ in rows:
            pass


async def test_no_step_of_a_transaction_waits_for_a_silent_server(settings: Settings) -> None:
    """Each fails as a database that is away; no connection gets back to the pool, and no place in it is lost."""
    await asyncio.gather(*(_fails(step, settings) for step in (_statement, _commit, _rollback, _return, _late_row)))


async def _fails(step: Callable[[AsyncConnection], Awaitable[None]], settings: Settings) -> None:
    async with a_link(settings) as (proxy, engine), asyncio.timeout(LONGEST):
        connection = await engine.connect()
        await connection.execute(text("SELECT 1"))
        proxy.swallow()
        try:
            await step(connection)
        except Exception as error:
            assert database_is_away(error), error
        else:
            pytest.fail(f"{step.__name__} had nothing to wait for")
        await connection.close()
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        proxy.heal()
        await _all_free(engine)


async def test_a_connect_and_the_wait_for_a_free_connection_end(link: tuple[Proxy, AsyncEngine]) -> None:
    """More callers than connections, and no server that answers: each of them hears it."""
    proxy, engine = link
    proxy.swallow()
    async with asyncio.timeout(LONGEST):
        errors = await asyncio.gather(*(_works(engine) for _ in range(2 * POOL)), return_exceptions=True)
    assert all(isinstance(error, Exception) and database_is_away(error) for error in errors), errors
    proxy.heal()
    await _all_free(engine)


async def test_the_wait_for_a_free_connection_ends(settings: Settings) -> None:
    """Whoever has the connections keeps them: the next caller gives up in the pool's own time."""
    one = settings.model_copy(update={"database_pool_size": 1})
    engine = create_engine(one, Timeouts(pool=0.2))
    async with asyncio.timeout(LONGEST), engine.connect():
        with pytest.raises(PoolTimeout):
            await _works(engine)
    await dispose(engine)


async def test_a_canceled_caller_does_not_wait_for_a_silent_server(link: tuple[Proxy, AsyncEngine]) -> None:
    """An attempt whose time is over is canceled within a statement: it ends, and gives its connection up."""
    proxy, engine = link

    swallowing = asyncio.Event()

    async def attempt() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 1"))
            proxy.swallow()
            swallowing.set()
            await connection.execute(text("SELECT 2"))

    task = asyncio.create_task(attempt())
    await swallowing.wait()
    task.cancel()
    async with asyncio.timeout(LONGEST):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    proxy.heal()
    await _all_free(engine)


async def test_an_idle_connection_that_died_in_silence_is_replaced_before_its_use(
    link: tuple[Proxy, AsyncEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the outage no caller pays for it with an error, although the pool is full of dead connections."""
    proxy, engine = link
    await _all_free(engine)
    proxy.swallow()
    proxy.heal()
    monkeypatch.setattr("adapters.postgres.database.TRUSTED", 0.0)  # as if they had been idle for longer
    async with asyncio.timeout(LONGEST):
        await _all_free(engine)


async def test_the_close_of_a_pool_ends(settings: Settings) -> None:
    """A worker that stops while packets vanish comes to its end."""
    async with database_link(settings) as (proxy, through):
        engine = create_engine(through)
        async with engine.connect(), engine.connect():
            pass
        proxy.swallow()
        async with asyncio.timeout(LONGEST):
            await dispose(engine)


async def test_sets_deadlines_on_both_ends_of_the_connection(settings: Settings) -> None:
    """The server is told its own, and each kernel notices that the other end vanished."""
    engine = create_engine(settings)
    async with engine.connect() as connection:
        shown = {
            name: await connection.scalar(text("SELECT current_setting(:name, true)"), {"name": name})
            for name in (
                "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout",
                "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout",
            )
        }  # fmt: skip
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        end = driver._transport.get_extra_info("socket")
        set_here = [end.getsockopt(level, option) for level, option, _ in sockets.options()]
    await dispose(engine)
    assert shown == {
        "lock_timeout": "5s", "statement_timeout": "15s", "idle_in_transaction_session_timeout": "10s",
        "transaction_timeout": "30s", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3", "tcp_user_timeout": "15000",
    }  # fmt: skip
    assert set_here == [value for _, _, value in sockets.options()]
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in sockets.options()


async def test_migrations_can_have_longer_limits_than_the_service(settings: Settings) -> None:
    """None is without limit: an index of millions of rows takes its time."""
    engine = create_engine(settings, Timeouts(statement=None, transaction=None, lock=2.0))
    async with engine.connect() as connection:
        query = "SELECT current_setting('statement_timeout'), current_setting('transaction_timeout', true)"
        assert tuple((await connection.execute(text(query))).one()) == ("0", "0")
    await dispose(engine)


async def test_a_client_that_vanished_in_a_transaction_loses_its_row_lock(
    settings: Settings, engine: AsyncEngine, shop: Shop
) -> None:
    """A stock row is locked by a worker whose network swallows everything: others get it within the set bound."""
    row = {"product": await shop.product()}
    lock = text("SELECT 1 FROM stock WHERE product_id = :product FOR UPDATE")
    async with database_link(settings) as (proxy, through):
        vanishing = create_engine(through)
        async with asyncio.timeout(LONGEST):
            connection = await vanishing.connect()
            await connection.execute(lock, row)
            proxy.swallow()
            began = time.monotonic()
            async with engine.begin() as ours:
                await ours.execute(lock, row)
            waited = time.monotonic() - began
            with suppress(TimeoutError):  # of its rollback
                await connection.close()
            await dispose(vanishing)
    assert waited < 5, "the lock went by another limit than the one that was set to one second"
