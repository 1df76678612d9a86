"""One reading of a partition for all readers of a process that stand near its end.

Each consumer of a process reads every partition. By a cursor of its own each would get every event from the broker
once more. Here the first reader of a partition begins a reading, and others join it where it still keeps what comes
next for them. Who is further behind reads alone until then, and who is further ahead begins one that the others
change to when they get there: nobody waits for a slower one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from adapters.bus.port import Broker, Incoming

KEPT = 500  # events that a reading keeps for the slower of its readers


class Stream(NamedTuple):
    """A partition, and which one of its name: after it was made anew, its positions mean other events."""

    partition: int
    incarnation: str


class SharedReading:
    """The partitions of a broker for the readers of one event loop. Whoever stops early closes its reading."""

    def __init__(self, broker: Broker, kept: int = KEPT) -> None:
        self._broker, self._kept = broker, kept
        self._tails: dict[Stream, _Tail] = {}  # of each stream the reading that others may join

    async def read(self, stream: Stream, after: int, *, most: int = 100) -> AsyncGenerator[list[Incoming]]:
        """As `Broker.read`, but that it may also end. Then, as after an error, it is to be found out where to go on.

        A reader changes from one reading to another only where both have the event that it has read last: a broker
        that lost its tail may have other events at the same positions since, and the former reading not know it yet.
        """
        last: Incoming | None = None
        tail = self._begin_or_join(stream, after, most)
        while True:
            batches = self._alone(stream, after, last, most) if tail is None else tail.follow(after, most)
            other = None
            async with closing(batches):
                async for batch in batches:
                    yield batch
                    last = batch[-1]
                    after = last.position
                    other = self._tails.get(stream)
                    if other is not None and other is not tail and other.holds(last):
                        break
                else:
                    other = None
                    if last is None or tail is None or tail.keeps_all_after(after):
                        return
            tail = other

    def begin_anew(self, stream: Stream) -> None:
        """Lets nobody join what is read now: it may hold events that the broker has lost, in place of others."""
        self._tails.pop(stream, None)

    def _begin_or_join(self, stream: Stream, after: int, most: int) -> _Tail | None:
        """A new reading where there is none, or none that is as far; None where it keeps no longer what is wanted."""
        tail = self._tails.get(stream)
        if tail is None or tail.is_over or tail.last < after:
            begun = _Tail(self._broker.read(stream.partition, after, most=most), after, self._kept)
            begun.when_left = lambda: self._forget(stream, begun)
            self._tails[stream] = tail = begun
        return tail if tail.keeps_all_after(after) else None

    async def _alone(
        self, stream: Stream, after: int, last: Incoming | None, most: int
    ) -> AsyncGenerator[list[Incoming]]:
        """Ends at once where the broker has another event in the place of `last`."""
        batches = self._broker.read(stream.partition, after if last is None else after - 1, most=most)
        async with closing(batches):
            async for batch in batches:
                if last is not None and batch[0] != last:
                    return
                news, last = batch[last is not None :], None
                if news:
                    yield news

    def _forget(self, stream: Stream, tail: _Tail) -> None:
        if self._tails.get(stream) is tail:
            del self._tails[stream]


class _Tail:
    """A reading that goes on while one of its readers waits, and ends with the last of them."""

    def __init__(self, batches: AsyncIterator[list[Incoming]], after: int, kept: int) -> None:
        self.last = after  # the position that it has come to
        self.is_over = False
        self.when_left: Callable[[], None] = lambda: None
        self._begin = after  # all that came after it is kept
        self._events: deque[Incoming] = deque()
        self._most_kept = kept
        self._readers = 0
        self._error: Exception | None = None
        self._wanted, self._came = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run(batches))

    def keeps_all_after(self, position: int) -> bool:
        return self._begin <= position

    def holds(self, event: Incoming) -> bool:
        """Whether it goes on, and has this very event at its position."""
        same = next((one for one in reversed(self._events) if one.position <= event.position), None)
        return same == event and not self.is_over

    async def follow(self, after: int, most: int) -> AsyncGenerator[list[Incoming]]:
        """What comes after the position. Ends with the broker's reading, or when it keeps it no longer."""
        self._readers += 1
        try:
            while self._begin <= after:
                if batch := self._after(after, most):
                    yield batch
                    after = batch[-1].position
                elif self.is_over:
                    if self._error is not None:
                        raise self._error.with_traceback(None)
                    return
                else:
                    came = self._came
                    self._wanted.set()
                    await came.wait()
        finally:
            self._readers -= 1
            if not self._readers:
                self.when_left()
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    def _after(self, position: int, most: int) -> list[Incoming]:
        found = []
        for one in reversed(self._events):
            if one.position <= position:
                break
            found.append(one)
        found.reverse()
        return found[:most]

    async def _run(self, batches: AsyncIterator[list[Incoming]]) -> None:
        try:
            async with closing(batches):
                await self._wanted.wait()
                async for batch in batches:
                    if batch[0].position <= self.last or not self._readers:
                        return  # the stream is another one: whoever reads it looks where to go on; or nobody is left
                    self._keep(batch)
                    self._wanted.clear()
                    self._tell()
                    await self._wanted.wait()
        except Exception as error:
            self._error = error
        finally:
            self.is_over = True
            self._tell()

    def _keep(self, batch: list[Incoming]) -> None:
        self._events.extend(batch)
        self.last = batch[-1].position
        while len(self._events) > max(self._most_kept, len(batch)):
            self._begin = self._events.popleft().position

    def _tell(self) -> None:
        came, self._came = self._came, asyncio.Event()
        came.set()


@asynccontextmanager
async def closing(batches: AsyncIterator[list[Incoming]]) -> AsyncIterator[AsyncIterator[list[Incoming]]]:
    """Gives the subscription back when whoever reads stops early."""
    try:
        yield batches
    finally:
        if isinstance(batches, AsyncGenerator):
            await batches.aclose()
