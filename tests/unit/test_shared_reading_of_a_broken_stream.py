"""Readers who share a reading of a broker that loses its end, and fills it anew: nobody misses what it holds."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bus.port import BusAway, Incoming
from adapters.bus.shared_reading import SharedReading, Stream, closing
from tests.support.unreliable_broker import UnreliableBroker

HERE = Stream(0, "first")


class Consumer:
    """As one consumer reads a partition: where its reading ends it compares what it has read last, as `resume`."""

    def __init__(self, broker: UnreliableBroker, shared: SharedReading) -> None:
        self._broker, self._shared = broker, shared
        self._last: Incoming | None = None
        self._may = asyncio.Semaphore(0)
        self.seen: list[bytes] = []
        self._run = asyncio.create_task(self._read())

    async def go(self, batches: int) -> None:
        """Lets it take so many more batches."""
        for _ in range(batches):
            self._may.release()
        await settle()

    async def restart(self) -> None:
        await self.stop()
        self._run = asyncio.create_task(self._read())
        await settle()

    async def stop(self) -> None:
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            with suppress(BusAway):
                async with closing(self._shared.read(HERE, await self._begin(), most=3)) as batches:
                    async for batch in batches:
                        self.seen += [one.body for one in batch]
                        self._last = batch[-1]
                        await self._may.acquire()

    async def _begin(self) -> int:
        if self._last is not None and (await self._broker.head(0)).last >= self._last.position:
            async with closing(self._broker.read(0, self._last.position - 1, most=1)) as batches:
                if await anext(batches) == [self._last]:
                    return self._last.position
        self._shared.begin_anew(HERE)
        return 0


async def settle() -> None:
    """Until everybody waits for something."""
    for _ in range(60):
        await asyncio.sleep(0)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pccccccrrl"), st.integers(0, 2), st.integers(1, 7)), max_size=60))
def test_nobody_misses_what_the_broker_holds_in_the_end(steps: list[tuple[str, int, int]]) -> None:
    """Events come, consumers read, are slow, leave and come back; the broker loses its end, and fills it anew."""
    asyncio.run(_held_to_the_end(steps))


async def _held_to_the_end(steps: list[tuple[str, int, int]]) -> None:
    broker, written, held = UnreliableBroker(1), 0, list[bytes]()
    shared = SharedReading(broker, kept=4)
    consumers = [Consumer(broker, shared) for _ in range(3)]
    for what, who, number in steps:
        if what == "l":
            lost = min(number, len(held))
            await broker.lose_tail(0, lost)
            del held[len(held) - lost :]
        if what in "pl":
            new = [b"%d" % (written + count) for count in range(number)]
            written += number
            held += new
            await broker.put(*new)
            await settle()
        elif what == "c":
            await consumers[who].go(1)
        elif what == "r":
            await consumers[who].restart()
    for one in consumers:
        await one.go(1000)
        await one.restart()
        assert [body for body in held if body not in one.seen] == []
    for one in consumers:
        await one.stop()
    assert broker.subscriptions == 0
