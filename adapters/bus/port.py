"""What relay and consumers know of a broker: partitions that are written at their end and read from a position.

A broker is one class of this kind; `connect.py` chooses it by the URL. All events of a subject lie in one partition,
in the order in which they were acknowledged. A broker may keep an event twice: consumers know a repeat by its
subject's sequence.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

PARTITIONS = 8
"""Part of the contract with consumers in other languages: another number moves subjects to other partitions."""

STREAM = "ORDERSAGA"
"""The stream at NATS; part of the contract, too."""

TOPIC = "ordersaga.events"
"""The topic at Kafka."""


@dataclass(frozen=True)
class Outgoing:
    """One event to publish."""

    message_id: str  # the broker's de-duplication id: the event id; `<event id>:<replay>` for a replay
    partition: int  # partition_of(subject)
    type: str
    subject: str
    body: bytes  # a CloudEvent 1.0, structured JSON
    traceparent: str | None = None


@dataclass(frozen=True)
class Incoming:
    """One event as a consumer gets it."""

    position: int  # in its partition; grows, gaps allowed
    body: bytes
    at: datetime  # when the broker took it


@dataclass(frozen=True)
class Head:
    """What a partition holds now."""

    incarnation: str  # another one: the stream was made anew
    first: int
    last: int  # positions; last < first: empty


class Refused(Exception):
    """The broker refuses this one event for what it is, e.g. too large: it would be refused again."""


class BusAway(Exception):
    """The broker cannot be reached, or does not answer as it should: what was asked may be asked again later."""


class Broker(ABC):
    """Publishes events, and reads them again from any position. Any task of one event loop may use it."""

    partitions: int = PARTITIONS

    @abstractmethod
    async def publish(self, events: Sequence[Outgoing]) -> list[Exception | None]:
        """Sends all at once and waits for the answers, one for each event in the same order.

        None: it is acknowledged; `Refused`; any other error: it failed, or nobody knows, and may be sent again.
        An event may be kept although another one that was sent before it was not: whoever needs an order sends the
        next event of a subject when the one before is acknowledged. Without events it makes what is missing for them.
        """

    @abstractmethod
    async def head(self, partition: int) -> Head:
        """Raises BusAway."""

    @abstractmethod
    def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        """Yields batches of 1 to `most` events from the position after `after`, in order, then live; never ends.

        Positions that the broker no longer has are passed over. Raises BusAway.
        """

    @abstractmethod
    async def position_at(self, partition: int, at: datetime) -> int:
        """The last position before that time: `read` from it yields what the broker took at `at` or later."""

    @abstractmethod
    async def aclose(self) -> None:
        """Gives the connections back. Never raises, and waits for no broker that is away."""


def partition_of(subject: str, partitions: int = PARTITIONS) -> int:
    """The partition of all events of a subject: CRC-32 (as of zlib) of its UTF-8 bytes, modulo their number."""
    return zlib.crc32(subject.encode()) % partitions
