"""Consumer groups of other services, which let Kafka keep their position: members share the partitions, and die."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from adapters.bus.kafka import KafkaBroker
from adapters.bus.port import TOPIC, Outgoing, partition_of
from devstack.stack.ports import LOOPBACK
from tests.support.brokers import TansuBus, running
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT

pytestmark = pytest.mark.slow

SUBJECTS = [f"o{number}" for number in range(16)]


class Member:
    """One process of the group, and what it has got."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.got: list[tuple[str, int]] = []
        self.reading = asyncio.create_task(self._read())

    @classmethod
    async def join(cls, servers: str) -> Member:
        words = [sys.executable, "-m", "tests.support.kafka_member", servers, TOPIC, "warehouse"]
        pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        return cls(await asyncio.create_subprocess_exec(*words, cwd=PROJECT, stdout=pipe, stderr=quiet))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            subject, number = line.decode().split()
            self.got.append((subject, int(number)))

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.reading


async def publish(broker: KafkaBroker, number: int) -> None:
    events = [
        Outgoing(f"{one}-{number}", partition_of(one), "ordersaga.order.placed.v1", one, b"%d" % number)
        for one in SUBJECTS
    ]
    assert await broker.publish(events) == [None] * len(events)


async def test_a_group_goes_on_without_a_member_that_was_killed() -> None:
    """Its partitions go to the other one, which gets the rest of each subject in order: nothing is left out."""
    async with running(TansuBus()) as bus:
        broker = bus.open()
        await publish(broker, 1)
        servers = f"{LOOPBACK}:{bus.port}"
        first = await Member.join(servers)
        await until(_seen_by(first, number=1), len(SUBJECTS))
        second = await Member.join(servers)
        number = 1
        while not second.got:  # until the group has shared its partitions anew
            number += 1
            await publish(broker, number)
            await asyncio.sleep(0.5)
            assert number < 200
        await first.kill()
        for _ in range(3):
            number += 1
            await publish(broker, number)
        await until(_seen_by(second, number=number), len(SUBJECTS))
        await second.kill()
        await broker.aclose()
    for subject in SUBJECTS:
        got = [seen for one in (first, second) for name, seen in one.got if name == subject]
        assert sorted(set(got)) == list(range(1, number + 1)), subject
        for one in (first, second):
            own = [seen for name, seen in one.got if name == subject]
            assert list(dict.fromkeys(own)) == sorted(set(own)), subject


def _seen_by(member: Member, number: int) -> Callable[[], Awaitable[int]]:
    async def subjects() -> int:
        return len({name for name, seen in member.got if seen == number})

    return subjects
