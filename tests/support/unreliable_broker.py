"""A broker in memory that does to consumers what real ones do: it is made anew, loses its tail, repeats, is away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from adapters.bus.port import Broker, BusAway, Head, Incoming, Outgoing, Refused, partition_of
from adapters.clock import now
from domain.cloud_events import CloudEvent


class UnreliableBroker(Broker):
    """`refuses` names event ids that it does not take. It keeps repeats, as a broker does after its window."""

    def __init__(self, partitions: int = 8) -> None:
        self.partitions = partitions
        self.refuses: set[str] = set()
        self.subscriptions = 0  # that are read from now
        self._away = False
        self._connection = 0
        self._grown = asyncio.Condition()
        self._make()

    def _make(self) -> None:
        self._incarnation = secrets.token_hex(4)
        self._kept: list[list[Incoming]] = [[] for _ in range(self.partitions)]
        self._first = [1] * self.partitions
        self._last = [0] * self.partitions

    async def publish(self, events: Sequence[Outgoing]) -> list[Exception | None]:
        answers: list[Exception | None] = []
        for event in events:
            if self._away:
                answers.append(BusAway("away"))
            elif event.message_id in self.refuses:
                answers.append(Refused("not this one"))
            else:
                self._keep(event.partition, event.body)
                answers.append(None)
        await self._tell()
        return answers

    async def put(self, *events: CloudEvent | bytes, partition: int = 0) -> None:
        """Publishes events; `partition` is that of bytes which are no event."""
        for event in events:
            if isinstance(event, bytes):
                self._keep(partition, event)
            else:
                self._keep(partition_of(event.subject, self.partitions), event.to_json())
        await self._tell()

    async def head(self, partition: int) -> Head:
        self._require()
        return Head(self._incarnation, self._first[partition], self._last[partition])

    async def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        connection, at = self._connection, after
        self.subscriptions += 1
        try:
            while True:
                self._require()
                if connection != self._connection:
                    raise BusAway("the connection was lost")
                begin = max(0, at + 1 - self._first[partition])
                batch = self._kept[partition][begin : begin + most]
                if batch:
                    at = batch[-1].position
                    yield batch
                    continue
                async with self._grown:
                    await self._grown.wait()
        finally:
            self.subscriptions -= 1

    async def position_at(self, partition: int, at: datetime) -> int:
        self._require()
        earlier = [one.position for one in self._kept[partition] if one.at < at]
        return max(earlier, default=self._first[partition] - 1)

    async def aclose(self) -> None:
        return

    async def rebuild(self) -> None:
        """Another stream, with nothing in it."""
        self._make()
        await self._cut()

    async def lose_tail(self, partition: int, count: int) -> None:
        """What it acknowledged last is gone; whoever was connected is not any more."""
        del self._kept[partition][-count:]
        self._last[partition] -= count
        await self._cut()

    async def expire(self, partition: int, count: int) -> None:
        """The oldest events are dropped."""
        del self._kept[partition][:count]
        self._first[partition] += count

    async def go_away(self) -> None:
        self._away = True
        await self._cut()

    async def come_back(self) -> None:
        self._away = False
        await self._tell()

    def _keep(self, partition: int, body: bytes) -> None:
        self._last[partition] += 1
        self._kept[partition].append(Incoming(self._last[partition], body, now()))

    def _require(self) -> None:
        if self._away:
            raise BusAway("the broker is away")

    async def _cut(self) -> None:
        self._connection += 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._grown:
            self._grown.notify_all()
