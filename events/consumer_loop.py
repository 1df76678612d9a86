"""Runs one consumer: owns partitions, reads them, applies what comes, and is taken over by another process at once.

Any number of processes may run the same consumer. Who holds a partition's lock reads it; the position's row decides
whose transaction counts. All partitions of this process share one transaction at a time: while it commits, the events
that arrive wait for the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.port import Broker
from adapters.bus.shared_reading import SharedReading, Stream, closing
from adapters.postgres.advisory_locks import AdvisoryLocks
from domain.routing import Wanted
from events.consumer import Consumer, may_pass
from events.consumer_batches import Batches, Done
from events.consumer_intake import Chunk, Intake
from events.consumer_replay import replayed
from events.consumer_stream import Resumed, Rewound, is_still, resume, taken
from services.consumers import dead_letters, positions
from services.consumers.dead_letters import Why
from services.consumers.positions import Moved, Place

OWN_EVERY = 0.5  # seconds between two looks for partitions that nobody owns
TURN = 1.0  # seconds between two looks for what operators want
LOOK_EVERY = 5.0  # seconds between two looks at the ends of the partitions
FIRST_PAUSE, LAST_PAUSE = 0.1, 5.0  # seconds between two tries of what may pass
READ_AT_MOST = 200  # events of one read
GATHERING = 0.1  # seconds in which a partition's next events are left to gather, where they may linger

log = structlog.get_logger()


def lock_of(consumer: str, partition: int) -> str:
    """The name of the lock that whoever reads the partition holds."""
    return f"{consumer}/{partition}"


class Meter(Protocol):
    """Told what consumers do."""

    def done(self, consumer: str, done: Done) -> None: ...

    def rewound(self, consumer: str, why: Rewound) -> None: ...

    def failed(self, consumer: str) -> None: ...


class ConsumerLoop:
    """One consumer in one process. `run` ends when it is canceled, and can be ended at any moment."""

    def __init__(
        self,
        consumer: Consumer,
        rule: Wanted,
        broker: Broker,
        engine: AsyncEngine,
        locks: AdvisoryLocks,
        meter: Meter,
        shared: SharedReading | None = None,
    ) -> None:
        """`shared`: what the consumers of the process read together; None: it is alone."""
        self.consumer = consumer
        self._shared = shared or SharedReading(broker)
        self._rule, self._broker, self._engine, self._locks, self._meter = rule, broker, engine, locks, meter
        self._batches = Batches(consumer, engine)
        self._intake = Intake(consumer.linger)
        self._places: dict[int, Place] = {}  # as their rows are, of the partitions that are read here
        self._readers: dict[int, asyncio.Task[None]] = {}
        self._turned_at = 0.0

    @property
    def partitions(self) -> set[int]:
        """Those that are read here."""
        return set(self._places)

    def place_of(self, partition: int) -> int:
        """The position of a partition's last event whose effect is committed; -1 where it is not read here."""
        place = self._places.get(partition)
        return -1 if place is None else place.position

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as loops:
                for loop in (self._own(), self._apply(), self._look()):
                    loops.create_task(loop)
        finally:  # when nobody begins to read a partition any more
            readers = list(self._readers.values())
            for partition in list(self._readers):
                self._stop_reading(partition)
            await asyncio.gather(*readers, return_exceptions=True)

    async def _own(self) -> None:
        """Takes whatever partition is free, and lets go of all when the connection with the locks is lost."""
        while True:
            names = {lock_of(self.consumer.name, number): number for number in range(self._broker.partitions)}
            got = await self._guarded("consumer_locks_not_taken", self._locks.take(names))
            mine = {names[name] for name in got or set[str]()}
            for partition in self._readers.keys() - mine:
                self._stop_reading(partition)
            for partition in mine:
                if partition not in self._readers or self._readers[partition].done():
                    self._stop_reading(partition)
                    self._readers[partition] = asyncio.create_task(self._read(partition))
            await asyncio.sleep(OWN_EVERY)

    def _stop_reading(self, partition: int) -> None:
        """What was read and not applied is dropped: whoever reads next begins at the position that is kept."""
        if (reader := self._readers.pop(partition, None)) is not None:
            reader.cancel()
        self._places.pop(partition, None)
        self._intake.drop(partition)

    async def _read(self, partition: int) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                place, why = await self._open(partition)
                if why is not None:
                    await self._intake.put(Chunk(partition, [], place, 0))  # so that it is written, if nothing comes
                async for chunk in replayed(self.consumer, self._rule, self._engine, partition, place):
                    place = chunk.place
                    await self._intake.put(chunk)
                pause = FIRST_PAUSE
                await self._follow(partition, place)
                log.info("reading_ended", consumer=self.consumer.name, partition=partition)
            except Exception as error:
                told = log.warning if pause == FIRST_PAUSE else log.debug  # an outage is told once
                told(
                    "partition_not_read", consumer=self.consumer.name, partition=partition, error=type(error).__name__
                )
                self._meter.failed(self.consumer.name)
            self._places.pop(partition, None)
            self._intake.drop(partition)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)

    async def _open(self, partition: int) -> Resumed:
        """The place to read on from; a stream that is not the one it was is read from its beginning."""
        name = self.consumer.name
        async with self._engine.connect() as connection:
            known = (await positions.read(connection, name)).get(partition)
        place, why = await resume(self._broker, partition, known)
        if known is None or why is not None:
            self._shared.begin_anew(Stream(partition, place.incarnation))
        if known is None:
            async with self._engine.begin() as connection:
                await positions.begin(connection, name, partition, place)
        if why is not None:
            told = {"from_position": known.position if known else None, "to_position": place.position}
            log.warning("consumer_rewound", consumer=name, partition=partition, why=why.value, **told)
            self._meter.rewound(name, why)
        self._places[partition] = place
        return Resumed(place, why)

    async def _follow(self, partition: int, place: Place) -> None:
        """Comes back where the reading ends, or positions do not grow: where to go on is to be found out anew."""
        events = self._shared.read(Stream(partition, place.incarnation), place.position, most=READ_AT_MOST)
        async with closing(events) as batches:
            async for batch in batches:
                if batch[0].position <= place.position:
                    return
                received, place = taken(self.consumer, self._rule, partition, batch, place)
                await self._intake.put(Chunk(partition, received, place, len(batch)))
                if self.consumer.linger and len(batch) < READ_AT_MOST:
                    await asyncio.sleep(min(GATHERING, self.consumer.linger))

    async def _apply(self) -> None:
        while True:
            chunks = await self._intake.gather(TURN)
            if chunks:
                await self._commit(chunks)
            if time.monotonic() - self._turned_at >= TURN:
                self._turned_at = time.monotonic()
                await self._guarded("consumer_turn_failed", self._turn())

    async def _commit(self, chunks: list[Chunk]) -> None:
        """One transaction for all, tried again while what failed may pass; without partitions that went meanwhile."""
        pause = FIRST_PAUSE
        while chunks := [chunk for chunk in chunks if self._intake.is_current(chunk)]:
            places = {
                chunk.partition: replace(chunk.place, version=self._places[chunk.partition].version)
                for chunk in chunks
            }
            try:
                done = await self._batches.apply([one for chunk in chunks for one in chunk.received], places)
            except Moved:
                log.info("position_moved", consumer=self.consumer.name, partitions=sorted(places))
                for partition in places:
                    self._stop_reading(partition)
                return
            except Exception as error:
                log.warning("batch_not_applied", consumer=self.consumer.name, error=type(error).__name__)
                self._meter.failed(self.consumer.name)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)
            else:
                for chunk in chunks:
                    if self._intake.is_current(chunk):  # or it is being read anew, from whatever the row says
                        place = places[chunk.partition]
                        self._places[chunk.partition] = replace(place, version=place.version + 1)
                self._note(done)
                return

    def _note(self, done: Done) -> None:
        self._meter.done(self.consumer.name, done)
        for letter in done.parked:
            about = {"event_type": letter.event.type, "event_id": letter.event.id, "subject": letter.event.subject}
            log.warning("event_parked", consumer=self.consumer.name, reason=letter.fault.reason, **about)

    async def _turn(self) -> None:
        """What operators have written: positions that were reset, dead letters to be tried again."""
        name = self.consumer.name
        async with self._engine.connect() as connection:
            kept = await positions.read(connection, name)
            wanted = await dead_letters.wanted(connection, name, self._places)
        for partition, place in list(self._places.items()):
            if partition in kept and kept[partition].version != place.version:
                log.info("position_moved", consumer=name, partitions=[partition])
                self._stop_reading(partition)
        for letter in wanted:
            await self._retry(letter)

    async def _retry(self, letter: dead_letters.Parked) -> None:
        """One dead letter; where it was in the way of others of its subject, those as well, until one is refused."""
        fault = await self._batches.retry(letter)
        if fault is not None or not self.consumer.holds_subject or not letter.subject:
            return
        async with self._engine.connect() as connection:
            held = await dead_letters.behind(connection, self.consumer.name, letter.about)
        for one in held:
            if one.reason != Why.HELD or await self._batches.retry(one) is not None:
                return

    async def _look(self) -> None:
        while True:
            await self._guarded("consumer_lag_not_read", self._look_once())
            await asyncio.sleep(LOOK_EVERY)

    async def _look_once(self) -> None:
        """How far behind each partition is, and whether the stream is still the one that is read."""
        lags = {}
        for partition in list(self._places):
            head = await self._broker.head(partition)
            place = self._places.get(partition)
            if place is None:
                continue
            if is_still(head, place):
                lags[partition] = max(0, head.last - place.position) if head.last >= head.first else 0
            else:
                self._stop_reading(partition)
        if lags:
            async with self._engine.begin() as connection:
                await positions.note_lag(connection, self.consumer.name, lags)

    async def _guarded(self, event: str, work: Coroutine[Any, Any, Any]) -> Any:
        """What the work came to, or None where it failed: it is tried again."""
        try:
            return await work
        except Exception as error:
            log.warning(event, consumer=self.consumer.name, error=type(error).__name__)
            if not may_pass(error):
                self._meter.failed(self.consumer.name)
            return None
