"""One transaction: the effects of a batch, the positions after it, what was parked. All of it stays, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.cloud_events import CloudEvent
from events.consumer import Consumer, Received, fault_of, may_pass, parse, unknown_version
from services.consumers import dead_letters, positions, sequences
from services.consumers.dead_letters import Fault, Letter, Parked, Why
from services.consumers.positions import Moved, Place
from services.consumers.sequences import Subject

HELD = Fault(Why.HELD, "behind an earlier event of its subject")


@dataclass
class Done:
    """What became of a batch."""

    applied: list[Received] = field(default_factory=list)
    repeats: int = 0
    parked: list[Letter] = field(default_factory=list)


class Batches:
    """Applies batches of one consumer."""

    def __init__(self, consumer: Consumer, engine: AsyncEngine) -> None:
        self._consumer, self._engine = consumer, engine

    async def apply(self, received: Sequence[Received], places: Mapping[int, Place]) -> Done:
        """`places` are those after the batch, by partition, with the versions before it.

        Raises Moved where this process does not own a partition any more, and what may pass: nothing was written.
        """
        await self._prepare([one.event for one in received if one.fault is None])
        try:
            return await self._apply(received, places, each=False)
        except Moved:
            raise
        except Exception as error:
            if may_pass(error):
                raise
        return await self._apply(received, places, each=True)

    async def _prepare(self, events: Sequence[CloudEvent]) -> None:
        try:
            await self._consumer.prepare(events)
        except Exception as error:
            if may_pass(error):
                raise  # what is wrong with an event itself shows when it is applied

    async def _apply(self, received: Sequence[Received], places: Mapping[int, Place], *, each: bool) -> Done:
        """`each` gives every event a savepoint of its own, to find out which one is refused."""
        name = self._consumer.name
        async with self._engine.begin() as connection:
            await positions.move(connection, name, places)
            done, due, last = await self._sift(connection, received, each=each)
            if due:
                await self._consumer.apply(connection, [one.event for one in due])
                done.applied += due
            await dead_letters.park(connection, name, done.parked)
            if last:
                await sequences.write(connection, name, last)
        return done

    async def _sift(
        self, connection: AsyncConnection, received: Sequence[Received], *, each: bool
    ) -> tuple[Done, list[Received], dict[Subject, int]]:
        """What is done already, what is due, and the sequences after it."""
        known, held = await self._known(connection, received)
        done, due, last = Done(), list[Received](), dict[Subject, int]()
        for one in received:
            about, readable = one.about, one.event.source != ""
            if self._consumer.in_order and readable:
                if one.event.sequence <= known.get(about, -1):
                    done.repeats += 1
                    last[about] = known[about]  # it is not forgotten while copies of its events come
                    continue
                known[about] = last[about] = one.event.sequence
            fault = HELD if about in held else one.fault
            if fault is None and each:
                fault = await self._try(connection, one)
                if fault is None:
                    done.applied.append(one)
            elif fault is None:
                due.append(one)
            if fault is not None:
                done.parked.append(Letter(one.event, one.body, one.partition, fault))
                if self._consumer.holds_subject and readable:
                    held.add(about)
        return done, due, last

    async def _known(
        self, connection: AsyncConnection, received: Sequence[Received]
    ) -> tuple[dict[Subject, int], set[Subject]]:
        subjects = {one.about for one in received if one.event.source}
        name, in_order, holds = self._consumer.name, self._consumer.in_order, self._consumer.holds_subject
        known = await sequences.read(connection, name, subjects) if in_order and subjects else {}
        return known, await dead_letters.held(connection, name, subjects) if holds and subjects else set()

    async def _try(self, connection: AsyncConnection, one: Received) -> Fault | None:
        """Why the event is refused. Raises what may pass."""
        try:
            async with connection.begin_nested():
                await self._consumer.apply(connection, [one.event])
        except Exception as error:
            if may_pass(error):
                raise
            return fault_of(error)
        return None

    async def retry(self, letter: Parked) -> Fault | None:
        """Applies a parked event again; why it is refused again. Raises what may pass."""
        async with self._engine.begin() as connection:
            body = await dead_letters.lock_body(connection, letter.id)
            if body is None:
                return None
            fault = await self._retry(connection, letter, body)
            if fault is None:
                await dead_letters.resolve(connection, letter.id, "retried")
            else:
                await dead_letters.failed_again(connection, letter.id, fault)
            return fault

    async def _retry(self, connection: AsyncConnection, letter: Parked, body: bytes) -> Fault | None:
        consumer = self._consumer
        event, fault = parse(body)
        fault = fault or unknown_version(consumer, event)
        if fault is None and consumer.holds_subject and letter.subject:
            first = (await dead_letters.behind(connection, consumer.name, letter.about))[0]
            fault = HELD if first.id != letter.id else None
        if fault is not None:
            return fault
        await self._prepare([event])
        try:
            async with connection.begin_nested():
                await consumer.apply_again(connection, event)
        except Exception as error:
            if may_pass(error):
                raise
            return fault_of(error)
        return None
