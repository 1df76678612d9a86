"""Readers of one process share what they read of a partition, and each gets every event once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bus.port import BusAway, Incoming
from adapters.bus.shared_reading import SharedReading, Stream
from tests.support.unreliable_broker import UnreliableBroker

HERE = Stream(0, "first")
SOON = 5.0  # seconds for what comes at once


async def put(broker: UnreliableBroker, count: int) -> None:
    await broker.put(*[b"event"] * count)


class Reader:
    """One consumer's reading of a partition."""

    def __init__(self, shared: SharedReading, after: int = 0, stream: Stream = HERE, most: int = 100) -> None:
        self.got: list[int] = []
        self.events: AsyncGenerator[list[Incoming]] = shared.read(stream, after, most=most)

    async def take(self, count: int = 1) -> list[int]:
        """The positions of the next events, whole batches of them, at least so many."""
        taken: list[int] = []
        while len(taken) < count:
            taken += [one.position for one in await asyncio.wait_for(anext(self.events), SOON)]
        self.got += taken
        return taken


@asynccontextmanager
async def reading(*readers: Reader) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for one in readers:
            await one.events.aclose()


async def test_the_broker_is_read_once_for_all() -> None:
    """Also for one that comes later, while what it wants is kept; the last one to leave ends it."""
    broker = UnreliableBroker(1)
    shared = SharedReading(broker)
    first, second, late = Reader(shared), Reader(shared), Reader(shared)
    async with reading(first, second, late):
        await put(broker, 3)
        assert await first.take(3) == await second.take(3) == [1, 2, 3]
        await put(broker, 2)
        assert await first.take(2) == [4, 5]
        assert await late.take(5) == [1, 2, 3, 4, 5]
        assert broker.subscriptions == 1
        await first.events.aclose()
        await put(broker, 1)
        assert await second.take(3) == [4, 5, 6]
        assert broker.subscriptions == 1
    assert broker.subscriptions == 0


async def test_who_is_far_behind_reads_alone_until_he_gets_there() -> None:
    """What the others have got is not kept for him; then he shares theirs."""
    broker = UnreliableBroker(1)
    shared = SharedReading(broker, kept=3)
    await put(broker, 20)
    ahead, behind = Reader(shared, after=17), Reader(shared, after=2, most=5)
    async with reading(ahead, behind):
        assert await ahead.take(3) == [18, 19, 20]
        assert await behind.take(5) == [3, 4, 5, 6, 7]
        assert broker.subscriptions == 2
        await behind.take(13)
        await put(broker, 1)
        assert await behind.take() == await ahead.take() == [21]
        assert broker.subscriptions == 1


async def test_nobody_waits_for_one_who_reads_from_the_beginning() -> None:
    """Who comes further ahead begins a reading of his own, which the other joins when he gets there."""
    broker = UnreliableBroker(1)
    shared = SharedReading(broker)
    await put(broker, 50)
    behind, ahead = Reader(shared, most=5), Reader(shared, after=49)
    async with reading(behind, ahead):
        assert await behind.take(5) == [1, 2, 3, 4, 5]
        assert await ahead.take() == [50]
        assert broker.subscriptions == 2
        await behind.take(45)
        await put(broker, 1)
        assert await behind.take() == await ahead.take() == [51]
        assert behind.got == list(range(1, 52))
        assert broker.subscriptions == 1


async def test_a_slow_one_who_is_overtaken_misses_nothing() -> None:
    broker = UnreliableBroker(1)
    shared = SharedReading(broker, kept=3)
    fast, slow = Reader(shared), Reader(shared)
    async with reading(fast, slow):
        await put(broker, 1)
        assert await fast.take() == await slow.take() == [1]
        for _ in range(10):
            await put(broker, 2)
            await fast.take(2)
        await slow.take(20)
        assert fast.got == slow.got == list(range(1, 22))


async def test_all_learn_that_the_broker_went_away_after_what_it_has_sent() -> None:
    broker = UnreliableBroker(1)
    shared = SharedReading(broker)
    one, other = Reader(shared), Reader(shared)
    async with reading(one, other):
        await put(broker, 1)
        assert await one.take() == await other.take() == [1]
        await put(broker, 1)
        await one.take()
        await broker.go_away()
        with pytest.raises(BusAway):
            await one.take()
        assert await other.take() == [2]
        with pytest.raises(BusAway):
            await other.take()
    await broker.come_back()
    again = Reader(shared, after=2)
    async with reading(again):
        await put(broker, 1)
        assert await again.take() == [3]
    assert broker.subscriptions == 0


async def test_nobody_joins_what_is_read_of_a_stream_that_was_made_anew() -> None:
    """Its positions mean other events, although somebody still reads the former one."""
    broker = UnreliableBroker(1)
    shared = SharedReading(broker)
    former, anew = Reader(shared), Reader(shared, stream=Stream(0, "second"))
    async with reading(former, anew):
        await put(broker, 3)
        await former.take(3)
        await broker.rebuild()
        await broker.put(b"another")
        [batch] = [await asyncio.wait_for(anext(anew.events), SOON)]
        assert [one.body for one in batch] == [b"another"]


async def test_nobody_joins_a_reading_that_may_hold_what_the_broker_has_lost() -> None:
    """Whoever has found it out begins one anew, and reads what stands there now."""
    broker = UnreliableBroker(1)
    shared = SharedReading(broker)
    unaware, aware = Reader(shared), Reader(shared)
    async with reading(unaware, aware):
        await put(broker, 3)
        await unaware.take(3)
        await broker.lose_tail(0, 2)
        await broker.put(b"another", b"one")
        shared.begin_anew(HERE)
        [batch] = [await asyncio.wait_for(anext(aware.events), SOON)]
        assert [one.body for one in batch] == [b"event", b"another", b"one"]


async def test_a_slow_one_learns_of_the_break_although_another_reads_on() -> None:
    """What the broker has lost stands there anew: who has read it before must not go on behind it."""
    broker = UnreliableBroker(1)
    shared = SharedReading(broker)
    slow, quick = Reader(shared), Reader(shared)
    await put(broker, 8)
    async with reading(slow, quick):
        assert await slow.take(8) == await quick.take(8)
        await broker.lose_tail(0, 3)
        await broker.put(*[b"another"] * 4)
        with pytest.raises(BusAway):
            await quick.take()
        again = Reader(shared, after=5)
        async with reading(again):
            assert await again.take(4) == [6, 7, 8, 9]
            with pytest.raises(BusAway):
                await slow.take()


async def test_who_was_overtaken_goes_on_only_after_what_he_has_read() -> None:
    """Where the broker has another event in its place, the reading ends: where to go on is to be found out."""
    broker = UnreliableBroker(1)
    shared = SharedReading(broker, kept=3)
    fast, slow = Reader(shared, most=4), Reader(shared, most=4)
    await put(broker, 12)
    async with reading(fast, slow):
        assert await fast.take(4) == await slow.take(4)
        await fast.take(8)
        await broker.lose_tail(0, 9)
        await broker.put(*[b"another"] * 9)
        with pytest.raises(StopAsyncIteration):
            await slow.take()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 7)), max_size=40))
def test_each_gets_every_event_once_whatever_happens(steps: list[tuple[int, int]]) -> None:
    """Events come, readers read, are slow, leave and come back where they were, and the broker goes away."""
    asyncio.run(_played(steps))


async def _played(steps: list[tuple[int, int]]) -> None:
    broker, published = UnreliableBroker(1), 0
    shared = SharedReading(broker, kept=4)
    readers = [Reader(shared, most=3) for _ in range(3)]
    positions: list[list[int]] = [[], [], []]

    async def reopen(who: int) -> None:
        await readers[who].events.aclose()
        readers[who] = Reader(shared, after=len(positions[who]), most=3)

    async def read_on(who: int) -> None:
        if len(positions[who]) < published:
            try:
                positions[who] += await readers[who].take()
            except (BusAway, StopAsyncIteration):
                await reopen(who)

    for kind, number in steps:
        if kind == 0:
            await put(broker, number)
            published += number
        elif kind == 4:
            await (broker.go_away() if number == 1 else asyncio.sleep(0))
            await broker.come_back()
        elif number == 7:
            await reopen(kind - 1)
        else:
            await read_on(kind - 1)
    for who in range(3):
        for _ in range(10 * published + 10):
            await read_on(who)
        assert positions[who] == list(range(1, published + 1))
        await readers[who].events.aclose()
    assert broker.subscriptions == 0
