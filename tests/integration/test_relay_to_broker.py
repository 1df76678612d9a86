"""The relay as a process, from an order's transaction to a consumer, over NATS with the accounts of production."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from adapters.bus.nats import NatsBroker
from adapters.settings import Settings
from commandline.doctor.checks import State
from commandline.doctor.events import check_broker, check_outbox
from devstack.stack.logins import url_of
from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.stack import Stack
from domain.cloud_events import CloudEvent
from tests.support.brokers import NatsBus, running
from tests.support.outbox import Outbox, drained
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT

# nats-py leaves a connection that dies during the handshake to the garbage collector, which closes it.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsBus]:
    async with running(NatsBus(tmp_path)) as bus:
        yield bus


class RelayProcess:
    def __init__(self, environ: dict[str, str]) -> None:
        self.port = free_port()
        self._environ = environ | {"PATH": os.environ["PATH"], "ORDERSAGA_RELAY_HEALTH_PORT": str(self.port)}
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "relay.py", cwd=PROJECT, env=self._environ, stderr=asyncio.subprocess.DEVNULL
        )

    async def broker(self) -> str:
        """What its page says of the broker; nothing while it does not answer."""
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                page = await http.get(f"http://{LOOPBACK}:{self.port}/readyz")
        except httpx.HTTPError:
            return ""
        return str(page.json().get("broker"))

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 60)


@asynccontextmanager
async def relays(stack: Stack, own: Settings, nats: NatsBus, number: int) -> AsyncIterator[list[RelayProcess]]:
    environ = stack.environment | {
        "DATABASE_URL": url_of("relay", own.database_url.get_secret_value()),
        "ORDERSAGA_BROKER_URL": nats.url("relay"),
    }
    started = [RelayProcess(environ) for _ in range(number)]
    for relay in started:
        await relay.start()
    try:
        yield started
    finally:
        for relay in started:
            if relay.process is not None and relay.process.returncode is None:
                await relay.end(signal.SIGKILL)


async def read_all(reader: NatsBroker) -> dict[str, list[int]]:
    """The sequences of each subject as a consumer applies them."""
    found: dict[str, list[int]] = {}
    for partition in range(8):
        head = await reader.head(partition)
        if head.last < head.first:
            continue
        async for batch in reader.read(partition, 0):
            for one in batch:
                event = CloudEvent.from_json(one.body)
                seen = found.setdefault(event.subject, [])
                if not seen or event.sequence > seen[-1]:
                    seen.append(event.sequence)
            if batch[-1].position >= head.last:
                break
    return found


async def test_events_survive_kills_of_relay_and_broker(
    stack: Stack, own: Settings, outbox: Outbox, nats: NatsBus
) -> None:
    """Two relays share the work; one is killed, then the broker, and everything arrives in order all the same."""
    subjects = [f"o{number}" for number in range(25)]
    async with relays(stack, own, nats, 2) as (first, second):
        await outbox.write(*subjects * 4)
        await until(outbox.waiting, 0)
        await until(first.broker, "ok")

        await outbox.write(*subjects * 4)
        await first.end(signal.SIGKILL)
        await outbox.write(*subjects * 4)
        await until(outbox.waiting, 0)

        await nats.kill()
        await outbox.write(*subjects * 4)
        await until(second.broker, "away")
        assert await outbox.waiting() == 100
        await nats.start()
        await until(outbox.waiting, 0)
        await until(second.broker, "ok")
        assert await second.end(signal.SIGTERM) == 0

    reader = nats.open_to_read()
    assert await read_all(reader) == {subject: list(range(1, 17)) for subject in subjects}
    await reader.aclose()


async def test_doctor_tells_of_broker_and_outbox(own: Settings, outbox: Outbox, nats: NatsBus) -> None:
    """Away, without a stream, well; an event that waits, and one that was refused."""
    told = own.model_copy(update={"broker_consumer_url": Settings(broker_url=nats.url("consumer")).broker_url})

    async def states() -> list[State]:
        return [check.state for checks in (check_broker(told), check_outbox(told, 0.0)) for check in await checks]

    assert await states() == [State.FAIL, State.OK]
    await outbox.write("o1")
    assert await states() == [State.FAIL, State.FAIL]
    broker = nats.open()
    await drained(outbox.relay(broker))
    assert await states() == [State.OK, State.OK]
    await outbox.write("o2", data={"words": "x" * 2_000_000})
    await drained(outbox.relay(broker))
    assert await states() == [State.OK, State.WARN]
    await broker.aclose()
    await nats.kill()
    assert await states() == [State.FAIL, State.WARN]
    assert [check.state for check in await check_broker(own)] == [State.WARN]
    assert await check_outbox(own) == []
