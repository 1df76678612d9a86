"""Between the readers of a consumer's partitions and the one task that applies: events gather for a transaction."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from events.consumer import Received
from services.consumers.positions import Place

MOST = 500  # events that one transaction applies, unless a single chunk has more
ROOM = 2_000  # events that were read and not applied: then reading waits
UNWANTED_AT_MOST = 1.0  # seconds that a position waits to be written when no event of it is wanted


@dataclass(eq=False)
class Chunk:
    """A part of a partition, in order."""

    partition: int
    received: list[Received]
    place: Place  # after it
    size: int  # events that were read for it, with those that the consumer does not get


class _Arrived(NamedTuple):
    chunk: Chunk
    at: float


class Intake:
    """Chunks of all partitions. A partition whose reading ended is dropped: what was read of it counts no more."""

    def __init__(self, linger: float) -> None:
        """`linger`: seconds that an event may wait for others."""
        self._linger = linger
        self._chunks: list[_Arrived] = []
        self._taken: list[Chunk] = []
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    async def put(self, chunk: Chunk) -> None:
        """Waits while there is no room."""
        await self._room.wait()
        self._chunks.append(_Arrived(chunk, asyncio.get_running_loop().time()))
        self._arrived.set()
        if sum(one.size for one, _ in self._chunks) >= ROOM:
            self._room.clear()

    def drop(self, partition: int) -> None:
        """Forgets what was read of a partition, also what was gathered already."""
        self._chunks = [one for one in self._chunks if one.chunk.partition != partition]
        self._taken = [one for one in self._taken if one.partition != partition]
        self._room.set()

    def is_current(self, chunk: Chunk) -> bool:
        """Whether a gathered chunk was not dropped since."""
        return chunk in self._taken

    async def gather(self, patience: float) -> list[Chunk]:
        """What is to be applied together, one chunk a partition; nothing after `patience` seconds without any."""
        until = asyncio.get_running_loop().time() + patience
        while (wait := self._wait(until)) > 0:
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._arrived.wait()
            except TimeoutError:
                continue
        if not self._is_due():
            return []
        self._taken = _joined(self._take())
        return list(self._taken)

    def _wait(self, until: float) -> float:
        """Seconds until the gathering ends, if nothing else comes."""
        now = asyncio.get_running_loop().time()
        return min(until - now, self._due_at() - now) if self._chunks else until - now

    def _is_due(self) -> bool:
        return bool(self._chunks) and self._due_at() <= asyncio.get_running_loop().time()

    def _due_at(self) -> float:
        wanted = [one.at for one in self._chunks if one.chunk.received]
        if sum(len(one.chunk.received) for one in self._chunks) >= MOST or not self._room.is_set():
            return 0.0
        return min([*(at + self._linger for at in wanted), self._chunks[0].at + UNWANTED_AT_MOST])

    def _take(self) -> list[Chunk]:
        taken, count = [], 0
        while self._chunks and count < MOST:
            chunk = self._chunks.pop(0).chunk
            taken.append(chunk)
            count += len(chunk.received)
        self._room.set()
        return taken


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
