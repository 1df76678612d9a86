"""What relay and consumers rely on, with every broker: in memory, NATS JetStream, and Kafka's protocol.

Kafka itself was not at hand: Tansu stands for it where servers die, librdkafka's mock cluster where producers are
idempotent (docs/decisions/0030-outbox-relay.md).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from adapters.bus.port import Broker, BusAway, Incoming, Outgoing, Refused
from adapters.clock import now
from tests.support.brokers import Bus, FakeBus, MockBus, NatsBus, TansuBus, patiently_head, running

# nats-py leaves a connection that dies during the handshake to the garbage collector, which closes it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PATIENCE = 60.0


def event(number: int, partition: int = 0, *, message_id: str | None = None, body: bytes | None = None) -> Outgoing:
    return Outgoing(
        message_id=message_id or secrets.token_hex(8),
        partition=partition,
        type="ordersaga.order.placed.v1",
        subject=f"o{partition}",
        body=b"%d" % number if body is None else body,
    )


@pytest.fixture(params=["fake", "nats", "tansu", "mock"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    makers: dict[str, Callable[[], Bus]] = {
        "fake": FakeBus,
        "nats": lambda: NatsBus(tmp_path),
        "tansu": TansuBus,
        "mock": MockBus,
    }
    async with running(makers[request.param]()) as bus:
        yield bus


@pytest.fixture
async def broker(bus: Bus) -> AsyncIterator[Broker]:
    broker = bus.open()
    yield broker
    await broker.aclose()


@pytest.fixture
async def reader(bus: Bus, broker: Broker) -> AsyncIterator[Broker]:
    """What a consumer opens; the stream is there already."""
    assert await publish(broker, event(0)) == [None]
    reader = bus.open_to_read()
    yield reader
    await reader.aclose()


async def publish(broker: Broker, *events: Outgoing) -> list[Exception | None]:
    """Again while the broker is coming up."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answers = await broker.publish(events)
            if not any(isinstance(answer, BusAway) for answer in answers):
                return answers
            await asyncio.sleep(0.05)


async def read(broker: Broker, number: int, after: int = 0, partition: int = 0, most: int = 100) -> list[Incoming]:
    """So many events, as soon as they are there."""
    found: list[Incoming] = []
    reading = cast(AsyncGenerator[list[Incoming], None], broker.read(partition, after, most=most))
    async with asyncio.timeout(PATIENCE), aclosing(reading) as batches:
        async for batch in batches:
            assert 1 <= len(batch) <= most
            found += batch
            if len(found) >= number:
                break
    return found


async def test_who_publishes_nothing_makes_what_is_missing(bus: Bus, broker: Broker) -> None:
    """So that consumers find a stream before there is an event."""
    if isinstance(bus, MockBus):
        pytest.skip("this one makes topics when they are asked for")
    async with asyncio.timeout(PATIENCE):
        assert await broker.publish([]) == []
    reader = bus.open_to_read()
    assert await patiently_head(reader, 3) == 0
    waiting = asyncio.create_task(read(reader, 1))
    await publish(broker, event(1))
    assert [int(one.body) for one in await waiting] == [1]
    await reader.aclose()


async def test_events_are_read_in_the_order_in_which_they_were_published(broker: Broker, reader: Broker) -> None:
    """Partition by partition, in batches of the size that was asked for, with the time when the broker took them."""
    before = now() - timedelta(minutes=1)
    for number in range(1, 31):
        assert await publish(broker, event(number, number % 3)) == [None]
    for partition in range(3):
        expected = [number for number in range(31) if number % 3 == partition]
        found = await read(reader, len(expected), partition=partition, most=4)
        assert [int(one.body) for one in found] == expected
        assert [one.position for one in found] == sorted({one.position for one in found})
        assert all(before < one.at < now() + timedelta(minutes=1) for one in found)


async def test_reading_goes_on_after_a_position_and_then_live(broker: Broker, reader: Broker) -> None:
    """Without a gap and without a repeat; what is published later arrives at who waits."""
    await publish(broker, *(event(number) for number in range(1, 10)))
    first = await read(reader, 10)
    assert len(await read(reader, 4, after=first[5].position)) == 4

    waiting = asyncio.create_task(read(reader, 2, after=first[-1].position))
    await publish(broker, event(10))
    await publish(broker, event(11))
    assert [int(one.body) for one in await waiting] == [10, 11]


async def test_the_head_tells_what_a_partition_holds(broker: Broker, reader: Broker) -> None:
    """Of an empty one nothing, and of the others the positions of the first and the last event."""
    await publish(broker, *(event(number) for number in range(1, 6)))
    await publish(broker, event(0, 2))
    found = await read(reader, 6)
    head, other, empty = [await reader.head(partition) for partition in (0, 2, 3)]
    assert (head.first, head.last) == (found[0].position, found[-1].position)
    assert other.first == other.last
    assert empty.last < empty.first
    assert head.incarnation == other.incarnation == empty.incarnation


async def test_a_time_leads_to_the_position_before_it(bus: Bus, broker: Broker, reader: Broker) -> None:
    if not bus.knows_times:
        pytest.skip("this one cannot look for times")
    await publish(broker, event(1))
    await asyncio.sleep(0.02)
    between = now()
    await asyncio.sleep(0.02)
    for number in (2, 3):
        await publish(broker, event(number))
    found = await read(reader, 4)
    assert await reader.position_at(0, between) == found[1].position
    assert await reader.position_at(0, between - timedelta(hours=1)) == 0
    assert await reader.position_at(0, now() + timedelta(hours=1)) == found[-1].position


async def test_one_that_is_too_large_is_refused_alone(broker: Broker, reader: Broker) -> None:
    """It is the event's own fault, and those beside it are taken."""
    answers = await publish(broker, event(1), event(2, body=b"x" * 3_000_000), event(3))
    assert [type(answer) for answer in answers] == [type(None), Refused, type(None)]
    assert [int(one.body) for one in await read(reader, 3)] == [0, 1, 3]


async def test_a_repeat_is_swallowed_where_the_broker_knows_message_ids(
    bus: Bus, broker: Broker, reader: Broker
) -> None:
    """A replay has another id, and is taken."""
    for message_id in ("e1", "e1", "e1:1"):
        await publish(broker, event(1, message_id=message_id))
    await publish(broker, event(2))
    bodies = [int(one.body) for one in await read(reader, 4 if bus.remembers_ids else 5)]
    assert bodies == ([0, 1, 1, 2] if bus.remembers_ids else [0, 1, 1, 1, 2])


@pytest.mark.slow
async def test_what_was_acknowledged_outlives_a_kill(bus: Bus, broker: Broker, reader: Broker) -> None:
    """A broker that is away is told for each event; with the same objects all goes on when it is back."""
    if isinstance(bus, MockBus):
        pytest.skip("this one dies with its process only")
    for number in range(1, 21):
        assert await publish(broker, event(number)) == [None]
    before = (await reader.head(0)).last
    await bus.kill()
    assert [type(answer) for answer in await broker.publish([event(21), event(22, 1)])] == [BusAway, BusAway]
    with pytest.raises(BusAway):
        await reader.head(0)

    await bus.start()
    if bus.outlives_a_kill:
        assert await patiently_head(reader, 0) == before
    assert await publish(broker, event(21)) == [None]
    expected = list(range(22)) if bus.outlives_a_kill else [21]
    assert [int(one.body) for one in await read(reader, len(expected))] == expected


@pytest.mark.slow
async def test_who_reads_is_told_that_the_broker_is_away(bus: Bus, broker: Broker, reader: Broker) -> None:
    """Nobody waits for ever for what cannot come."""
    if isinstance(bus, MockBus):
        pytest.skip("this one dies with its process only")
    batches = reader.read(0, 0)
    assert [int(one.body) for one in await anext(batches)] == [0]
    if isinstance(bus, FakeBus):
        await bus.kill()
        await publish_quietly(broker)
    else:
        waiting = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0)
        await bus.kill()
        with pytest.raises(BusAway):
            await asyncio.wait_for(waiting, PATIENCE)


async def publish_quietly(broker: Broker) -> None:
    assert [type(answer) for answer in await broker.publish([event(1)])] == [BusAway]
