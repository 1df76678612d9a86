"""The relay of the outbox: publishes its events at least once, first deliveries in order per subject.

An event is sent only when the broker has acknowledged the one before it of its subject. So the order of first
deliveries does not depend on who else sends: a relay that was paused, has lost its lanes and goes on can only repeat
(docs/decisions/0030-outbox-relay.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import structlog

from adapters.bus.port import Broker, BusAway, Outgoing, Refused, partition_of
from adapters.clock import now
from domain.cloud_events import envelope
from services.outbox.waiting import Waiting, WaitingEvent

BATCH = 500  # events
BATCHES = 20  # of one turn, so that it ends
PRUNE_BATCH = 1000
UPKEEP_EVERY = 10.0  # seconds
LAST_NOTE = 2.0  # seconds

log = structlog.get_logger(__name__)


class Lanes(Protocol):
    """Which lanes this process owns (`adapters/postgres/partition_locks.py`)."""

    async def renew(self) -> Collection[int]: ...

    async def aclose(self) -> None: ...


class Published(Protocol):
    """Told what became of the events (`events/metrics.py`)."""

    def published(self, lags: Sequence[float]) -> None: ...

    def refused(self) -> None: ...

    def failed(self, number: int) -> None: ...


class Parking(Protocol):
    """What becomes of events that the broker refuses (`events/parked_events.py`)."""

    async def park(self, event: WaitingEvent, why: str) -> None: ...

    async def hold_back(self) -> None: ...


@dataclass
class Turn:
    """What became of a batch of events."""

    taken: int = 0
    acknowledged: list[WaitingEvent] = field(default_factory=list)
    refused: list[tuple[WaitingEvent, str]] = field(default_factory=list)
    failure: Exception | None = None  # of the last event that may be sent again
    following: Sequence[WaitingEvent] = ()  # what came behind these events


class OutboxRelay:
    """One process's share of the work; `turn` is called again and again."""

    def __init__(
        self,
        waiting: Waiting,
        lanes: Lanes,
        broker: Broker,
        parking: Parking,
        metrics: Published,
        kept: timedelta,
    ) -> None:
        """`kept`: how long an acknowledged event stays in the outbox."""
        self._waiting, self._lanes, self._broker = waiting, lanes, broker
        self._parking, self._metrics = parking, metrics
        self._kept = kept
        self._upkeep_at = float("-inf")
        self._unnoted: list[WaitingEvent] = []  # the broker has them, the outbox does not know it yet
        self.broker_answers = True

    @property
    def has_unnoted(self) -> bool:
        """The broker has events that wait to be noted by the next turn: let it come soon."""
        return bool(self._unnoted)

    async def turn(self) -> Turn:
        """Publishes what waits in the lanes of this process, batch by batch, until nothing is left or one fails.

        The last batch says how it went. What it has published is noted by the statement with which the next turn
        begins: who dies before that has it published once more. Raises what the database raises.
        """
        turn = Turn()
        lanes = await self._lanes.renew()
        if lanes or self._unnoted:
            async with self._waiting.connected():
                turn.following = await self._note_and_read(lanes, BATCH)
                for _ in range(BATCHES):
                    if not turn.following:
                        break
                    turn = await self._batch(turn.following)
        await self._keep_up()
        return turn

    async def _note_and_read(self, lanes: Collection[int], most: int) -> Sequence[WaitingEvent]:
        if not self._unnoted:
            return await self._waiting.read(lanes, most)
        following = await self._waiting.acknowledge(self._unnoted, lanes, most)
        self._unnoted = []
        return following

    async def _batch(self, events: Sequence[WaitingEvent]) -> Turn:
        turn = await self._publish(events)
        self._unnoted += turn.acknowledged
        at = now()
        self._metrics.published([max(0.0, (at - event.time).total_seconds()) for event in turn.acknowledged])
        if turn.refused or turn.failure is not None:
            await self._note_and_read((), 0)  # some of these events would be read once more
        for event, why in turn.refused:
            self._metrics.refused()
            await self._parking.park(event, why)
        if turn.failure is None and (turn.refused or len(events) == BATCH):
            turn.following = await self._note_and_read(await self._lanes.renew(), BATCH)
        self._note(turn)
        return turn

    async def aclose(self) -> None:
        """Notes what was published, where the database answers, and gives lanes and broker back."""
        if self._unnoted:
            with suppress(Exception):  # what is not noted is published once more
                async with asyncio.timeout(LAST_NOTE):
                    await self._note_and_read((), 0)
        await self._lanes.aclose()
        await self._broker.aclose()

    async def _publish(self, events: Sequence[WaitingEvent]) -> Turn:
        """In waves, each with the next event of every subject whose last one was acknowledged."""
        turn = Turn(taken=len(events))
        behind: dict[str, list[WaitingEvent]] = {}
        for event in reversed(events):
            behind.setdefault(event.subject, []).append(event)
        while behind:
            wave = [subject.pop() for subject in behind.values()]
            answers = await self._broker.publish([outgoing(event, self._broker.partitions) for event in wave])
            before = len(turn.acknowledged)
            for event, answer in zip(wave, answers, strict=True):
                if answer is None:
                    turn.acknowledged.append(event)
                    if behind[event.subject]:
                        continue
                elif isinstance(answer, Refused):
                    turn.refused.append((event, str(answer) or type(answer).__name__))
                else:
                    turn.failure = answer
                del behind[event.subject]
            if turn.failure is not None and len(turn.acknowledged) == before:
                break  # the broker is away; else the other subjects go on
        return turn

    def _note(self, turn: Turn) -> None:
        """The beginning and the end of an outage are one line each."""
        if turn.failure is not None:
            left = turn.taken - len(turn.acknowledged) - len(turn.refused)
            self._metrics.failed(left)
            if self.broker_answers:
                kind = "broker_away" if isinstance(turn.failure, BusAway) else "events_not_published"
                log.warning(kind, error=str(turn.failure) or type(turn.failure).__name__, waiting=left)
            self.broker_answers = False
        elif turn.acknowledged:
            if not self.broker_answers:
                log.info("events_published_again")
            self.broker_answers = True

    async def _keep_up(self) -> None:
        if time.monotonic() - self._upkeep_at < UPKEEP_EVERY:
            return
        self._upkeep_at = time.monotonic()
        await self._broker.publish([])  # which makes the stream where it is missing: consumers wait for it
        await self._parking.hold_back()
        if await self._waiting.prune(self._kept, PRUNE_BATCH) == PRUNE_BATCH:
            self._upkeep_at = float("-inf")  # more is old enough


def outgoing(event: WaitingEvent, partitions: int) -> Outgoing:
    """The event as a broker takes it."""
    return Outgoing(
        message_id=event.message_id,
        partition=partition_of(event.subject, partitions),
        type=event.type,
        subject=event.subject,
        body=envelope(
            event_id=event.event_id,
            type=event.type,
            source=event.source,
            subject=event.subject,
            sequence=event.sequence,
            time=event.time,
            traceparent=event.traceparent,
            data=event.data.encode(),
        ),
        traceparent=event.traceparent,
    )
