"""One reading of a partition for all readers of a process that stand near its end.

Each consumer of a process reads every partition. By a cursor of its own each would get every event from the broker
once more. Here the first reader of a partition begins a reading, and others join it where it still keeps what comes
next for them. Who is further behind reads by itself until then, and who is further ahead begins one that the others
join when they get there: nobody waits for a slower one.
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
        self._tails: dict[Stream, _Tail] = {}  # of each stream the reading that is furthest

    async def read(self, stream: Stream, after: int, *, most: int = 100) -> AsyncGenerator[list[Incoming]]:
        """As `Broker.read`; where the broker's reading ends or fails, so does that of all who share it."""
        while True:
            tail = self._furthest(stream, after, most)
            shared = tail if tail.keeps_all_after(after) else None
            own = self._broker.read(stream.partition, after, most=most) if shared is None else None
            async with closing(own or tail.follow(after, most)) as batches:
                async for batch in batches:
                    yield batch
                    after = batch[-1].position
                    if self._has_another(stream, after, shared):
                        break
                else:
                    if own or tail.keeps_all_after(after):
                        return

    def begin_anew(self, stream: Stream) -> None:
        """Lets nobody join what is read now: it may hold events that the broker has lost, in place of others."""
        self._tails.pop(stream, None)

    def _furthest(self, stream: Stream, after: int, most: int) -> _Tail:
        """The reading that is furthest; one that begins now, where there is none or the position is further."""
        tail = self._tails.get(stream)
        if tail is not None and not tail.is_over and tail.last >= after:
            return tail
        batches = self._broker.read(stream.partition, after, most=most)
        begun = _Tail(batches, after, self._kept, lambda: self._forget(stream, begun))
        self._tails[stream] = begun
        return begun

    def _has_another(self, stream: Stream, after: int, shared: _Tail | None) -> bool:
        """Whether there is a reading to join instead of the one that is shared, or of an own one."""
        tail = self._tails.get(stream)
        return tail is not None and tail is not shared and not tail.is_over and tail.keeps_all_after(after)

    def _forget(self, stream: Stream, tail: _Tail) -> None:
        if self._tails.get(stream) is tail:
            del self._tails[stream]


class _Tail:
    """A reading that goes on while one of its readers waits, and ends with the last of them."""

    def __init__(
        self, batches: AsyncIterator[list[Incoming]], after: int, kept: int, forget: Callable[[], None]
    ) -> None:
        self.last = after  # the position that it has come to
        self.is_over = False
        self._begin = after  # all that came after it is kept
        self._events: deque[Incoming] = deque()
        self._most_kept, self._forget = kept, forget
        self._readers = 0
        self._error: Exception | None = None
        self._wanted, self._came = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run(batches))

    def keeps_all_after(self, position: int) -> bool:
        return self._begin <= position

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
                        raise self._error
                    return
                else:
                    came = self._came
                    self._wanted.set()
                    await came.wait()
        finally:
            self._readers -= 1
            if not self._readers:
                self._forget()
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
                    if batch[0].position <= self.last:
                        return  # the stream is another one: whoever reads it looks where to go on
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
        while len(self._events) > self._most_kept:
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
