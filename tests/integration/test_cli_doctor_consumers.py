"""`ordersaga doctor` about consumers: who reads, how far behind they are, and what waits for a person."""

from __future__ import annotations

import secrets

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.advisory_locks import AdvisoryLocks
from adapters.settings import Settings
from commandline.doctor.checks import Check, State
from commandline.doctor.consumers import check_consumers
from events.consumer_loop import lock_of
from events.consumers_main import NAMESPACE
from services.consumers import dead_letters, positions
from services.consumers.dead_letters import Fault, Letter
from services.consumers.positions import Place
from tests.support.consumers import order_event

PARTITIONS = 3


@pytest.fixture
def with_broker(settings: Settings) -> Settings:
    return settings.model_copy(update={"broker_url": SecretStr("nats://relay:hidden@127.0.0.1:1")})


@pytest.fixture
async def consumer(engine: AsyncEngine) -> str:
    """One that has read all there is."""
    name = f"consumer-{secrets.token_hex(4)}"
    async with engine.begin() as connection:
        for partition in range(PARTITIONS):
            await positions.begin(connection, name, partition, Place("one", 7))
    return name


async def _told(settings: Settings, consumer: str) -> Check:
    """Of this consumer; a check that is not ok has a mend."""
    (found,) = (check for check in await check_consumers(settings) if check.name == f"Consumer {consumer}")
    assert (found.mend != "") == (found.state is not State.OK)
    return found


async def test_tells_who_reads_and_which_partitions_nobody_does(with_broker: Settings, consumer: str) -> None:
    """By the locks that whoever reads has to hold; they are gone with the process."""
    assert "nobody reads 3 of its 3 partitions" in (await _told(with_broker, consumer)).found
    async with AdvisoryLocks(with_broker, NAMESPACE) as one, AdvisoryLocks(with_broker, NAMESPACE) as other:
        await one.take([lock_of(consumer, 0), lock_of(consumer, 1)])
        half = await _told(with_broker, consumer)
        assert (half.state, "nobody reads 1 of its 3" in half.found) == (State.FAIL, True)
        await other.take([lock_of(consumer, 2)])
        whole = await _told(with_broker, consumer)
        assert (whole.state, whole.found.count("reads 2"), whole.found.count("reads 1")) == (State.OK, 1, 1)
        assert whole.found.startswith("0 positions behind") and "127.0.0.1:" in whole.found


async def test_tells_of_lag_that_lasts_and_of_dead_letters(
    with_broker: Settings, engine: AsyncEngine, consumer: str
) -> None:
    """What is behind for a moment is not: an event is applied within milliseconds. Lag comes first."""
    async with AdvisoryLocks(with_broker, NAMESPACE) as locks:
        await locks.take([lock_of(consumer, number) for number in range(PARTITIONS)])
        event = order_event(f"order-{consumer}", 1)
        async with engine.begin() as connection:
            await positions.note_lag(connection, consumer, {0: 5})
            await dead_letters.park(connection, consumer, [Letter(event, event.to_json(), 0, Fault("not_this_one"))])
        dead = await _told(with_broker, consumer)
        assert (dead.state, dead.found) == (State.WARN, "1 events wait for a person")
        assert consumer in dead.mend

        earlier = text("UPDATE consumer_positions SET behind_since = now() - interval '61 s' WHERE consumer = :one")
        async with engine.begin() as connection:
            await connection.execute(earlier, {"one": consumer})
        late = await _told(with_broker, consumer)
        assert (late.state, late.found) == (State.FAIL, "it is 5 positions behind, and was at the end 61 s ago")


async def test_says_nothing_of_consumers_without_a_broker(settings: Settings, consumer: str) -> None:
    """Nor where the database cannot be asked, which another check tells."""
    assert await check_consumers(settings) == []
    away = {
        "database_url": SecretStr("postgresql://nobody:hidden@127.0.0.1:1/none"),
        "broker_url": SecretStr("nats://x"),
    }
    assert await check_consumers(settings.model_copy(update=away)) == []
