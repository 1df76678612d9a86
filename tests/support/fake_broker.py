"""A broker in memory, with the faults that a real one has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from adapters.bus.port import PARTITIONS, Broker, BusAway, Head, Incoming, Outgoing, Refused
from adapters.clock import now

LIMIT = 1_000_000  # bytes of an event


class Kept(NamedTuple):
    incoming: Incoming
    message_id: str
    event: Outgoing


class FakeBroker(Broker):
    """Keeps what is published; `away`, `refuses`, `fails` and `loses_answers` are set by tests.

    `remembers` says whether it swallows a message id that it has, as JetStream does and Kafka does not.
    """

    def __init__(self, *, remembers: bool = True) -> None:
        self.kept: list[list[Kept]] = [[] for _ in range(PARTITIONS)]
        self.all: list[Kept] = []
        self.incarnation = "first"
        self.away = False
        self.refuses: Callable[[Outgoing], bool] = lambda event: False
        self.fails: Callable[[Outgoing], bool] = lambda event: False
        self.loses_answers: Callable[[Outgoing], bool] = lambda event: False
        self.sent: list[Outgoing] = []  # whatever was tried
        self.closed = False
        self._remembers = remembers
        self._came = asyncio.Event()

    async def publish(self, events: Sequence[Outgoing]) -> list[Exception | None]:
        self.sent += events
        return [self._keep(event) for event in events]

    def _keep(self, event: Outgoing) -> Exception | None:
        if self.away or self.fails(event):
            return BusAway("the broker is away")
        if self.refuses(event) or len(event.body) > LIMIT:
            return Refused("too large")
        partition = self.kept[event.partition]
        if not (self._remembers and any(one.message_id == event.message_id for one in partition)):
            position = partition[-1].incoming.position + 1 if partition else 1
            one = Kept(Incoming(position, event.body, now()), event.message_id, event)
            partition.append(one)
            self.all.append(one)
            self._came.set()
            self._came = asyncio.Event()
        return BusAway("no answer") if self.loses_answers(event) else None

    def lose_tail(self, number: int) -> None:
        """Forgets what it acknowledged last, as after a power loss."""
        for one in self.all[-number:]:
            self.kept[one.event.partition].remove(one)
        del self.all[-number:]

    async def head(self, partition: int) -> Head:
        self._check()
        kept = self.kept[partition]
        if not kept:
            return Head(self.incarnation, 1, 0)
        return Head(self.incarnation, kept[0].incoming.position, kept[-1].incoming.position)

    async def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        while True:
            self._check()
            came = self._came
            batch = [one.incoming for one in self.kept[partition] if one.incoming.position > after][:most]
            if not batch:
                await came.wait()
                continue
            after = batch[-1].position
            yield batch

    async def position_at(self, partition: int, at: datetime) -> int:
        self._check()
        return max((one.incoming.position for one in self.kept[partition] if one.incoming.at < at), default=0)

    async def aclose(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.away:
            raise BusAway("the broker is away")


class PausedConnection(Broker):
    """One relay's way to a broker that others use, too: what it sends arrives when `goes_on` is set."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self.sends, self.goes_on = asyncio.Event(), asyncio.Event()

    async def publish(self, events: Sequence[Outgoing]) -> list[Exception | None]:
        self.sends.set()
        await self.goes_on.wait()
        return await self._broker.publish(events)

    async def head(self, partition: int) -> Head:
        return await self._broker.head(partition)

    def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        return self._broker.read(partition, after, most=most)

    async def position_at(self, partition: int, at: datetime) -> int:
        return await self._broker.position_at(partition, at)

    async def aclose(self) -> None:
        await self._broker.aclose()
