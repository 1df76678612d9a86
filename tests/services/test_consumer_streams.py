"""Consumers whose stream or place is not what it was: made anew, cut, away, or owned by another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.port import partition_of
from adapters.settings import Settings
from events.consumer_stream import Rewound
from services.consumers import positions
from tests.support.consumers import EveryEvent, Ledger, order_event, running
from tests.support.unreliable_broker import UnreliableBroker
from tests.support.waiting import until

New = Callable[..., Awaitable[Ledger]]


@pytest.fixture
def broker() -> UnreliableBroker:
    return UnreliableBroker(partitions=2)


@pytest.fixture
def new(engine: AsyncEngine) -> New:
    async def make(kind: type[Ledger] = Ledger) -> Ledger:
        ledger = kind()
        await ledger.make(engine)
        return ledger

    return make


async def _count(engine: AsyncEngine, ledger: Ledger) -> int:
    return len(await ledger.held(engine))


async def _of(engine: AsyncEngine, ledger: Ledger, subject: str) -> list[int]:
    return [sequence for of, sequence in await ledger.held(engine) if of == subject]


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """The relay publishes again; what was applied before is known by its sequence."""
    ledger = await new()
    await broker.put(*(order_event("a", n) for n in (1, 2, 3)))

    async with running(ledger, broker, engine, settings) as one:
        await until(lambda: _count(engine, ledger), 3)
        await broker.rebuild()
        await broker.put(*(order_event("a", n) for n in (2, 3, 4)))
        await until(lambda: ledger.held(engine), [("a", n) for n in (1, 2, 3, 4)])

    assert one.counts.rewinds[Rewound.REBUILT] >= 1
    assert one.counts.repeats >= 2


@pytest.mark.parametrize("new_ones", [1, 5])
async def test_a_lost_tail_is_noticed(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New, new_ones: int
) -> None:
    """Also where the stream is longer again than it was: another event stands at the position that was kept."""
    ledger = await new(EveryEvent)
    await broker.put(*(order_event("a", n) for n in (1, 2, 3, 4)))
    async with running(ledger, broker, engine, settings):
        await until(lambda: _count(engine, ledger), 4)

    await broker.lose_tail(partition_of("a", 2), 2)
    await broker.put(*(order_event("a", n) for n in range(5, 5 + new_ones)))
    async with running(ledger, broker, engine, settings) as again:
        await until(lambda: _last_of(engine, ledger), 4 + new_ones)

    assert again.counts.rewinds == {Rewound.TAIL_LOST: 1}
    assert set(await _of(engine, ledger, "a")) == set(range(1, 5 + new_ones))


async def _last_of(engine: AsyncEngine, ledger: Ledger) -> int:
    return max(await _of(engine, ledger, "a"))


async def test_a_lost_tail_is_noticed_while_reading(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """The connection breaks with it, so the position is compared before reading goes on."""
    ledger = await new()
    await broker.put(*(order_event("a", n) for n in (1, 2, 3, 4)))

    async with running(ledger, broker, engine, settings) as one:
        await until(lambda: _count(engine, ledger), 4)
        await broker.lose_tail(partition_of("a", 2), 2)
        await broker.put(order_event("a", 5))
        await broker.put(order_event("a", 3), order_event("a", 4))  # replayed
        await until(lambda: ledger.held(engine), [("a", n) for n in (1, 2, 3, 4, 5)])

    assert one.counts.rewinds[Rewound.TAIL_LOST] >= 1


async def test_what_expired_unread_is_told(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """The rest is applied; somebody has to know that the beginning is missing."""
    ledger = await new()
    await broker.put(order_event("a", 1))
    async with running(ledger, broker, engine, settings):
        await until(lambda: _count(engine, ledger), 1)

    await broker.put(*(order_event("a", n) for n in (2, 3, 4)))
    await broker.expire(partition_of("a", 2), 3)
    async with running(ledger, broker, engine, settings) as again:
        await until(lambda: ledger.held(engine), [("a", 1), ("a", 4)])

    assert again.counts.rewinds == {Rewound.EXPIRED: 1}


async def test_a_broker_that_was_away_is_read_on(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """Nothing is rewound for it."""
    ledger = await new()
    await broker.put(order_event("a", 1))

    async with running(ledger, broker, engine, settings) as one:
        await until(lambda: _count(engine, ledger), 1)
        await broker.go_away()
        await until(lambda: _failed(one.counts.failures), True)
        await broker.come_back()
        await broker.put(order_event("a", 2))
        await until(lambda: ledger.held(engine), [("a", 1), ("a", 2)])

    assert not one.counts.rewinds


async def _failed(count: int) -> bool:
    return count > 0


async def test_one_of_two_owns_a_partition_and_the_other_takes_over(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """The server ends the owner's connection, as it does when a process is killed."""
    ledger = await new()
    async with running(ledger, broker, engine, settings) as owner:
        await owner.owns(2)
        async with running(ledger, broker, engine, settings) as other:
            await broker.put(order_event("a", 1))
            await until(lambda: _count(engine, ledger), 1)
            assert other.loop.partitions == set()
            owner.task.cancel()
            await asyncio.gather(owner.task, return_exceptions=True)
            await owner.loop._locks.__aexit__(None, None, None)
            await other.owns(2)
            await broker.put(order_event("a", 2))
            await until(lambda: ledger.held(engine), [("a", 1), ("a", 2)])


async def test_the_position_decides_for_one_that_lost_its_lock_and_does_not_know(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """Its transaction finds the position written by another, and leaves nothing."""
    ledger = await new()
    await broker.put(order_event("a", 1))
    partition = partition_of("a", 2)
    async with running(ledger, broker, engine, settings) as one:
        await until(lambda: _count(engine, ledger), 1)
        async with engine.begin() as connection:  # the other one
            place = (await positions.read(connection, ledger.name))[partition]
            await positions.move(connection, ledger.name, {partition: place})
        await broker.put(order_event("a", 2))
        await until(lambda: ledger.held(engine), [("a", 1), ("a", 2)])

    assert one.counts.applied == 2


async def test_a_position_is_written_by_its_owner_only(engine: AsyncEngine, new: New) -> None:
    """The second of two who read the same version is turned away."""
    ledger = await new()
    async with engine.begin() as connection:
        await positions.begin(connection, ledger.name, 0, positions.Place("one", 0))
        place = (await positions.read(connection, ledger.name))[0]
        await positions.move(connection, ledger.name, {0: place})
        with pytest.raises(positions.Moved):
            await positions.move(connection, ledger.name, {0: place})
