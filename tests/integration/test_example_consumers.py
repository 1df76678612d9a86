"""The consumers of docs/events.md, run as they stand there, on a real NATS server and on librdkafka's mock."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import nats
import pytest
from confluent_kafka import Producer
from nats.aio.client import Client

from adapters.bus.port import STREAM, TOPIC, partition_of
from domain.cloud_events import CloudEvent
from domain.event_examples import example
from domain.event_registry import EventType, named
from tests.support.waiting import until

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
PATIENCE = 60.0  # seconds
PLACED, SHIPPED = named("OrderPlaced")[0], named("OrderShipped")[0]


def _event(number: int, event: EventType = PLACED) -> CloudEvent:
    told = example(event)
    return told.model_copy(update={"id": f"e{number}", "subject": f"order-{number}"})


def _line(number: int) -> str:
    return f"e{number} order-{number} 279.98"


class _Running:
    """A consumer as a process of its own, and what it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def lines(self, number: int) -> list[str]:
        """As many lines as that; it waits for them, for a minute each."""
        assert self._process.stdout is not None
        read = []
        for _ in range(number):
            async with asyncio.timeout(PATIENCE):
                read.append((await self._process.stdout.readline()).decode().strip())
        assert all(read), "the consumer has ended"
        return read

    async def end(self, by: signal.Signals) -> None:
        """At the latest by SIGKILL."""
        if self._process.returncode is None:
            self._process.send_signal(by)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise AssertionError(f"the consumer did not end by {by.name}") from None


@asynccontextmanager
async def _consumer(name: str, **environment: str) -> AsyncIterator[_Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, **environment},
    )
    running = _Running(process)
    try:
        yield running
    finally:
        await running.end(signal.SIGKILL)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    """A NATS server with the stream, on a port that it chooses; its URL."""
    program = Path(sys.executable).parent / "nats-server"
    arguments = ["-a", "127.0.0.1", "-p", "-1", "-js", "-sd", str(tmp_path), "--ports_file_dir", str(tmp_path)]
    server = await asyncio.create_subprocess_exec(str(program), *arguments, stderr=asyncio.subprocess.DEVNULL)
    try:
        ports = tmp_path / f"nats-server_{server.pid}.ports"
        await until(lambda: _is_written(ports), True)
        yield json.loads(ports.read_text())["nats"][0]
    finally:
        server.terminate()
        await server.wait()


async def _is_written(file: Path) -> bool:
    return await asyncio.to_thread(lambda: file.exists() and file.read_text().rstrip().endswith("}"))


@pytest.fixture
async def bus(broker: str) -> AsyncIterator[Client]:
    client = await nats.connect(broker)
    await client.jetstream().add_stream(name=STREAM, subjects=["ev.>"])
    yield client
    await client.close()


async def test_the_consumer_on_nats_gets_each_order_and_goes_on_after_a_kill(broker: str, bus: Client) -> None:
    """Only the type that it asks for, from all partitions; what it acknowledged does not come again."""
    stream = bus.jetstream()

    async def publish(event: CloudEvent) -> None:
        await stream.publish(f"ev.{partition_of(event.subject)}.{event.type}", event.to_json())

    async def acknowledged() -> bool:
        told = await stream.consumer_info(STREAM, "my-shop")
        return bool(told.num_ack_pending == 0 and told.num_pending == 0)

    for event in (_event(1), _event(2, SHIPPED), _event(3)):
        await publish(event)
    async with _consumer("consume_nats.py", BROKER_URL=broker) as first:
        assert await first.lines(2) == [_line(1), _line(3)]
        await publish(_event(4))
        assert await first.lines(1) == [_line(4)]
        await until(acknowledged, True)
        await first.end(signal.SIGKILL)
    await publish(_event(5))
    async with _consumer("consume_nats.py", BROKER_URL=broker) as second:
        assert await second.lines(1) == [_line(5)]


@pytest.fixture
def kafka() -> Iterator[SimpleNamespace]:
    """A mock cluster inside this process; other processes may connect to it."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (node,) = producer.list_topics(timeout=30).brokers.values()
    yield SimpleNamespace(producer=producer, servers=f"{node.host}:{node.port}")
    producer.flush(10)


@pytest.mark.long  # 13 s: a group on the mock cluster takes 4 s to begin, and 9 s to begin again
async def test_the_consumer_on_kafka_gets_each_order_and_goes_on_after_a_stop(kafka: SimpleNamespace) -> None:
    """What it committed does not come again. The key is the subject."""

    async def publish(*events: CloudEvent) -> None:
        for event in events:
            kafka.producer.produce(TOPIC, event.to_json(), event.subject)
        assert await asyncio.to_thread(kafka.producer.flush, 30) == 0

    await publish(_event(1), _event(2, SHIPPED), _event(3))
    async with _consumer("consume_kafka.py", BROKERS=kafka.servers) as first:
        assert sorted(await first.lines(2)) == [_line(1), _line(3)]
        for number in (4, 5):  # it goes on to 5 when its commit of 4 was answered
            await publish(_event(number))
            assert await first.lines(1) == [_line(number)]
        await first.end(signal.SIGINT)
    await publish(_event(6))
    async with _consumer("consume_kafka.py", BROKERS=kafka.servers) as second:
        seen = await second.lines(1)
        while seen[-1] != _line(6):
            seen += await second.lines(1)
        assert set(seen) <= {_line(5), _line(6)}
