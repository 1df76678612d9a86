"""How events gather for a transaction: soon, or for a while, or until there are many."""

from __future__ import annotations

import asyncio

import pytest

from events import consumer_intake
from events.consumer import Received
from events.consumer_intake import Chunk, Intake
from services.consumers.positions import Place
from tests.support.consumers import order_event

LONG = 3600.0  # seconds, which no test waits


def chunk(partition: int, position: int, wanted: int = 1) -> Chunk:
    event = order_event("a", position)
    received = [Received(event, b"", partition)] * wanted
    return Chunk(partition, received, Place("one", position), max(1, wanted))


async def test_joins_the_chunks_of_a_partition() -> None:
    """The place is that of the last one; the events keep their order."""
    intake = Intake(0.0)
    for one in (chunk(0, 1), chunk(1, 2), chunk(0, 3)):
        await intake.put(one)

    first, second = await intake.gather(LONG)

    assert [one.event.sequence for one in first.received] == [1, 3]
    assert (first.place.position, second.place.position) == (3, 2)


async def test_nothing_comes_of_nothing() -> None:
    """Whoever gathers has other things to do as well."""
    assert await Intake(0.0).gather(0.001) == []


async def test_an_event_waits_for_others_until_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that it would wait for an hour here."""
    monkeypatch.setattr(consumer_intake, "MOST", 3)
    intake = Intake(LONG)
    gathering = asyncio.create_task(intake.gather(LONG))
    for position in (1, 2, 3):
        await asyncio.sleep(0)
        assert not gathering.done()
        await intake.put(chunk(0, position))

    (one,) = await gathering
    assert len(one.received) == 3


async def test_what_was_read_of_a_dropped_partition_counts_no_more() -> None:
    """Neither what waits nor what was gathered; other partitions go on."""
    intake = Intake(0.0)
    await intake.put(chunk(0, 1))
    await intake.put(chunk(1, 2))
    gathered = await intake.gather(LONG)
    await intake.put(chunk(0, 3))
    await intake.put(chunk(1, 4))

    intake.drop(0)

    assert [intake.is_current(one) for one in gathered] == [False, True]
    assert [one.partition for one in await intake.gather(LONG)] == [1]


async def test_reading_waits_while_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of any length does not end up in memory."""
    monkeypatch.setattr(consumer_intake, "ROOM", 2)
    intake = Intake(LONG)
    await intake.put(chunk(0, 1))
    await intake.put(chunk(0, 2))
    waiting = asyncio.create_task(intake.put(chunk(0, 3)))
    await asyncio.sleep(0)
    assert not waiting.done()

    assert len((await intake.gather(LONG))[0].received) == 2
    await waiting


async def test_a_position_without_wanted_events_waits_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes along with the next event that is wanted."""
    monkeypatch.setattr(consumer_intake, "UNWANTED_AT_MOST", LONG)
    intake = Intake(0.0)
    await intake.put(chunk(0, 1, wanted=0))
    assert await intake.gather(0.001) == []
    await intake.put(chunk(1, 2))
    assert {one.place.position for one in await intake.gather(LONG)} == {1, 2}
