"""Between the readers of a consumer's partitions and the one task that applies: events gather for a transaction."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from events.consumer import Received
from services.consumers.positions import Place

MOST = 500  # events that one transaction applies, unless a single chunk has more
ROOM = 2_000  # events that were read and not applied: then reading waits
UNWANTED_AT_MOST = 1.0  # seconds that a position waits to be written when no event of it is wanted
NEVER = float("inf")


@dataclass(eq=False)
class Chunk:
    """A part of a partition, in order."""

    partition: int
    received: list[Received]
    place: Place  # after it
    size: int  # events that were read for it, with those that the consumer does not get
    at: float = 0.0  # when it came, by the event loop's clock


class Intake:
    """Chunks of all partitions. A partition whose reading ended is dropped: what was read of it counts no more."""

    def __init__(self, linger: float) -> None:
        """`linger`: seconds that an event may wait for others."""
        self._linger = linger
        self._chunks: list[Chunk] = []
        self._taken: list[Chunk] = []
        self._sooner, self._room = asyncio.Event(), asyncio.Event()
        self._count()

    async def put(self, chunk: Chunk) -> None:
        """Waits while there is no room."""
        await self._room.wait()
        chunk.at = asyncio.get_running_loop().time()
        before = self._due_at
        self._chunks.append(chunk)
        self._count_in(chunk)
        if self._due_at < before:
            self._sooner.set()

    def drop(self, partition: int) -> None:
        """Forgets what was read of a partition, also what was gathered already."""
        self._chunks = [one for one in self._chunks if one.partition != partition]
        self._taken = [one for one in self._taken if one.partition != partition]
        self._count()

    def is_current(self, chunk: Chunk) -> bool:
        """Whether a gathered chunk was not dropped since."""
        return chunk in self._taken

    async def gather(self, patience: float) -> list[Chunk]:
        """What is to be applied together, one chunk a partition; nothing after `patience` seconds without any."""
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        while (wait := min(until, self._due_at) - clock()) > 0:
            self._sooner.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._sooner.wait()
        if self._due_at > clock():
            return []
        self._taken = _joined(self._take())
        return list(self._taken)

    def _take(self) -> list[Chunk]:
        taken, count = [], 0
        for chunk in self._chunks:
            if count >= MOST:
                break
            taken.append(chunk)
            count += len(chunk.received)
        self._chunks = self._chunks[len(taken) :]
        self._count()
        return taken

    def _count(self) -> None:
        self._size = self._wanted = 0
        self._due_at = NEVER
        self._room.set()
        for chunk in self._chunks:
            self._count_in(chunk)

    def _count_in(self, chunk: Chunk) -> None:
        """Kept as a sum: it is asked for with every chunk that comes."""
        self._size += chunk.size
        self._wanted += len(chunk.received)
        self._due_at = min(self._due_at, chunk.at + (self._linger if chunk.received else UNWANTED_AT_MOST))
        if self._size >= ROOM:
            self._room.clear()
        if self._wanted >= MOST or self._size >= ROOM:
            self._due_at = 0.0


def _joined(chunks: list[Chunk]) -> list[Chunk]:
    by_partition: dict[int, Chunk] = {}
    for one in chunks:
        before = by_partition.get(one.partition)
        if before is None:
            by_partition[one.partition] = one
        else:
            by_partition[one.partition] = Chunk(
                one.partition, before.received + one.received, one.place, before.size + one.size
            )
    return list(by_partition.values())
