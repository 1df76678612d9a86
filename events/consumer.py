"""A consumer: what it gets, and what it does with it. Each one is a file of `events/consumers/`, to copy from.

The base (`consumer_loop.py`) reads the stream, keeps the position in the transaction of the effects, and parks what
is refused. A consumer only says which events it wants and writes its effects with the connection that it is given.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar

from pydantic import ValidationError
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.bus.port import BusAway
from domain.cloud_events import CloudEvent
from domain.errors import OrderSagaError, TryAgain
from domain.routing import EventType, Rule, Wanted
from services.consumers.dead_letters import Fault, Why
from services.consumers.sequences import Subject

UNREADABLE = datetime(1970, 1, 1, tzinfo=UTC)


class Consumer(ABC):
    """What is done with events. `apply` may run again for the same events when its transaction was rolled back."""

    name: str
    rule: ClassVar[Rule] = Rule()  # which events it gets; `ORDERSAGA_EVENT_ROUTES` may say otherwise
    versions: ClassVar[frozenset[int] | None] = frozenset({1})  # of their types; None: any
    # An event whose sequence is not greater than the last one of its subject is a repeat. A consumer whose effects
    # are keyed by the event's id may do without: then it also gets an event that comes after a later one.
    in_order: ClassVar[bool] = True
    holds_subject: ClassVar[bool] = True  # later events of a subject wait behind one that was parked
    linger: ClassVar[float] = 0.0  # seconds that an event may wait for others to share its transaction

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.holds_subject and not cls.in_order:
            raise TypeError(f"{cls.__name__} holds subjects back, so it has to get their events in order")

    async def prepare(self, events: Sequence[CloudEvent]) -> None:
        """What has to be there before the transaction begins, e.g. a table; it may be done more than once."""
        return

    @abstractmethod
    async def apply(self, connection: AsyncConnection, events: Sequence[CloudEvent]) -> None:
        """Writes the effects of events, in their order; `connection` is in a transaction, which is not ours to end.

        Applied again after a reset they have to give the same state. A domain error, a ValueError or a constraint
        refuses: each event is then applied by itself, and the one that is refused is parked.
        """

    async def apply_again(self, connection: AsyncConnection, event: CloudEvent) -> None:
        """The same for one event that was parked and that a person wants tried again."""
        await self.apply(connection, [event])


@dataclass(frozen=True, slots=True)
class Received:
    """One event that a consumer is to get, or that is parked for its `fault`."""

    event: CloudEvent  # with what could be read of it
    body: bytes
    partition: int
    at: datetime | None = None  # when the broker took it
    fault: Fault | None = None

    @property
    def about(self) -> Subject:
        return Subject(self.event.source, self.event.subject)


@lru_cache(maxsize=256)
def parse(body: bytes) -> tuple[CloudEvent, Fault | None]:
    """The event of a body, or a stand-in whose id is the body's hash, and what is wrong with it.

    The consumers of a process read the same events at nearly the same time: one parses them, and none changes them.
    """
    try:
        return CloudEvent.from_json(body), None
    except ValueError as error:
        event_id = f"sha256:{hashlib.sha256(body).hexdigest()}"
        stand_in = CloudEvent(id=event_id, type="", source="", subject="", sequence=0, time=UNREADABLE, data={})
        return stand_in, Fault(Why.MALFORMED, _told(error))


def routed(consumer: Consumer, rule: Wanted, event: CloudEvent, fault: Fault | None) -> tuple[bool, Fault | None]:
    """Whether the consumer gets the event, and why it is parked instead where it is."""
    if fault is not None:
        return True, fault
    if not rule.wants(EventType.of(event.type), event):
        return False, None
    return True, unknown_version(consumer, event)


def unknown_version(consumer: Consumer, event: CloudEvent) -> Fault | None:
    """Whether the event's type has a version that the consumer was not written for."""
    version = EventType.of(event.type).version
    if consumer.versions is None or version in consumer.versions:
        return None
    known = ", ".join(str(one) for one in sorted(consumer.versions))
    return Fault(Why.UNKNOWN_VERSION, f"version {version} of the type; known: {known}")


def may_pass(error: Exception) -> bool:
    """Whether the same may succeed later: it is about the database, the broker or a far end, not about the event."""
    if isinstance(error, SQLAlchemyError):
        return not isinstance(error, IntegrityError | DataError)
    return isinstance(error, OSError | TimeoutError | BusAway | TryAgain)


def fault_of(error: Exception) -> Fault:
    """What a refusal says, without any value of the event."""
    if isinstance(error, OrderSagaError):
        return Fault(error.code, str(error))
    if isinstance(error, ValueError):
        return Fault(Why.INVALID, _told(error))
    return Fault(Why.FAILED, type(error).__name__)


def _told(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return type(error).__name__
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['type']}" for one in problems[:5])
