"""What is particular to NATS: accounts, a full stream, a stream that is gone, readers that miss a message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NoAnswer
from nats.js.errors import APIError

from adapters.bus.nats import NatsBroker, StreamShape
from adapters.bus.nats_reading import Reading
from adapters.bus.port import BusAway, Outgoing
from tests.support.brokers import NatsBus, running

# nats-py leaves a connection that dies during the handshake to the garbage collector, which closes it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SMALL = StreamShape(most_bytes=20_000)


def event(number: int, size: int = 0) -> Outgoing:
    return Outgoing(f"e{number}", 0, "ordersaga.order.placed.v1", "o1", b"%d" % number + b" " * size)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[NatsBus]:
    bus = NatsBus(tmp_path, SMALL)
    async with running(bus):
        yield bus


@pytest.fixture
async def relay(bus: NatsBus) -> AsyncIterator[NatsBroker]:
    relay = bus.open()
    yield relay
    await relay.aclose()


async def bodies(broker: NatsBroker, number: int) -> list[int]:
    found: list[int] = []
    async for batch in broker.read(0, 0):
        found += [int(one.body) for one in batch]
        if len(found) >= number:
            break
    return found


async def test_a_full_stream_refuses_what_is_new_and_keeps_what_it_has(bus: NatsBus, relay: NatsBroker) -> None:
    """That is no fault of the event: it waits until there is room."""
    taken = 0
    while (answer := (await relay.publish([event(taken, 2000)]))[0]) is None:
        taken += 1
        assert taken < 20
    assert isinstance(answer, BusAway)
    assert "maximum bytes" in str(answer)
    reader = bus.open_to_read()
    assert await bodies(reader, taken) == list(range(taken))
    await reader.aclose()


async def test_consumers_may_read_and_nothing_else(bus: NatsBus, relay: NatsBroker) -> None:
    """What such a user publishes, deletes or purges does nothing."""
    assert await relay.publish([event(1)]) == [None]
    reader = bus.open_to_read()
    (refused,) = await reader.publish([event(2)])
    assert isinstance(refused, BusAway)
    assert "does not allow" in str(refused) or "not allowed" in str(refused)
    assert await bodies(reader, 1) == [1]
    await reader.aclose()
    await _does_no_harm(bus.url("consumer"))
    assert (await relay.publish([event(3)])) == [None]


async def test_the_relay_cannot_take_anything_back(bus: NatsBus, relay: NatsBroker) -> None:
    """It neither deletes the stream nor changes it; whoever has its password cannot hide what was published."""
    assert await relay.publish([event(1)]) == [None]
    await _does_no_harm(bus.url("relay"))
    reader = bus.open_to_read()
    assert await bodies(reader, 1) == [1]
    await reader.aclose()


async def _does_no_harm(url: str) -> None:
    async def ignore(error: Exception) -> None:
        return None

    client = await nats.connect(url, error_cb=ignore)
    stream = client.jetstream(timeout=0.5)
    for harm in (stream.purge_stream, stream.delete_stream):
        with pytest.raises((NoAnswer, TimeoutError, APIError)):
            await harm("ORDERSAGA")
    with suppress(Exception):
        await client.close()


async def test_a_wrong_password_is_an_outage(bus: NatsBus) -> None:
    """The password is in no message."""
    broker = NatsBroker(bus.url("relay").replace("relays-own", "guessed"))
    (answer,) = await broker.publish([event(1)])
    assert isinstance(answer, BusAway)
    assert "guessed" not in str(answer)
    await broker.aclose()


async def test_a_reader_that_misses_a_message_reads_it_again(
    bus: NatsBus, relay: NatsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server sends each once: one that is lost on its way shows in the numbers of those after it."""
    for number in range(1, 11):
        assert await relay.publish([event(number)]) == [None]
    take = Reading._take
    lost: list[Msg] = []

    async def lossy(self: Reading, message: Msg) -> None:
        if message.data == b"4" and not lost:
            lost.append(message)
        else:
            await take(self, message)

    monkeypatch.setattr(Reading, "_take", lossy)
    reader = bus.open_to_read()
    async with asyncio.timeout(60):
        assert await bodies(reader, 10) == list(range(1, 11))
    assert len(lost) == 1
    await reader.aclose()


async def test_publishing_survives_kills_while_events_are_under_way(bus: NatsBus, relay: NatsBroker) -> None:
    """Whatever was acknowledged is there, once, in order; what was not is sent again by its id."""
    number, kills = 0, 0
    async with asyncio.timeout(60):
        while number < 100:
            if number in (30, 60) and kills == number // 30 - 1:
                sending = asyncio.create_task(relay.publish([event(number)]))
                await asyncio.sleep(0)
                await bus.kill()
                kills += 1
                await sending
                await bus.start()
            if (await relay.publish([event(number)])) == [None]:
                number += 1
            else:
                await asyncio.sleep(0.05)
    reader = bus.open_to_read()
    assert await bodies(reader, 100) == list(range(100))
    await reader.aclose()
