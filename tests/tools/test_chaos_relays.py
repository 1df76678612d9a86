"""The faults of relays do what they say: on a process that writes in transactions as a consumer does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import psutil
import pytest

from chaos.links import RELAYS, Links
from chaos.relay_faults import kill_in_batch, pause
from devstack.stack.parts import PROJECT, Blueprint
from devstack.stack.ports import LOOPBACK
from devstack.stack.process import Launch, Part
from devstack.stack.stack import Stack
from tests.support.waiting import until

WRITER = """
import asyncio, sys, asyncpg

async def write():
    while True:
        try:
            connection = await asyncpg.connect(sys.argv[1], ssl=False)
            await connection.execute("CREATE TABLE IF NOT EXISTS places (number int)")
            await connection.execute("CREATE TABLE IF NOT EXISTS event_archive (number int)")
            while True:
                async with connection.transaction():
                    await connection.execute("INSERT INTO places VALUES (1)")
                    await connection.execute("INSERT INTO event_archive VALUES (1)")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.05)

asyncio.run(write())
"""


@dataclass
class Running:
    stack: Stack
    links: Links

    async def archived(self) -> int:
        return await self.value("SELECT count(*) FROM event_archive")

    async def sessions(self) -> int:
        """The writer's: the one that asks is another."""
        client = "datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        return await self.value(f"SELECT count(*) FROM pg_stat_activity WHERE {client}")  # noqa: S608

    async def value(self, sql: str) -> int:
        connection = await asyncpg.connect(self.stack.urls.database_url, ssl=False)
        try:
            return int(await connection.fetchval(sql))
        finally:
            await connection.close()


def _with_writer(links: Links, plan: Blueprint, parts: list[Part]) -> list[Part]:
    link = links[f"{RELAYS[0]}-postgres"]
    link.target = plan.ports.postgres
    url = plan.database_url.replace(f"{LOOPBACK}:{plan.ports.postgres}", f"{LOOPBACK}:{link.port}")
    command = [sys.executable, "-c", WRITER, url]

    async def writes(_: Launch) -> bool:
        return link.connections > 0

    needs = frozenset({"postgres"})
    relay = Part(RELAYS[0], command, plan.base, PROJECT, ready=writes, needs=needs)
    return [*parts, relay]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with (
        Links() as links,
        Stack(tmp_path, parts={"postgres"}, migrate=False, tailor=partial(_with_writer, links)) as stack,
    ):
        running = Running(stack, links)

        async def wrote() -> bool:
            return bool(await running.value("SELECT (to_regclass('event_archive') IS NOT NULL)::int"))

        await until(wrote, True)
        yield running


async def test_a_kill_in_a_batch_meets_whoever_writes_in_the_middle_of_a_transaction(running: Running) -> None:
    """It had written its place, and nothing of the batch stays; it is started again, and goes on."""
    before = running.stack.pids[RELAYS[0]]
    assert await kill_in_batch(running.stack, running.links, "event_archive") == RELAYS[0]
    archived = await running.archived()
    await running.stack.ready(RELAYS[0])
    assert running.stack.pids[RELAYS[0]] != before
    assert await running.value("SELECT (SELECT count(*) FROM places) - (SELECT count(*) FROM event_archive)") == 0

    async def goes_on() -> bool:
        return await running.archived() > archived

    await until(goes_on, True)


async def test_a_pause_ends_the_sessions_of_a_process_that_lives_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its locks are free; afterwards it is the same process, with another session."""
    monkeypatch.setattr("chaos.relay_faults.SESSIONS_END_AFTER", 0.1)
    process = psutil.Process(running.stack.pids[RELAYS[0]])
    pausing = asyncio.create_task(pause(running.stack, running.links, RELAYS[0], 60.0))

    async def status() -> str:
        return str(process.status())

    await until(status, psutil.STATUS_STOPPED)
    await until(running.sessions, 0)
    assert process.status() == psutil.STATUS_STOPPED
    pausing.cancel()
    await asyncio.gather(pausing, return_exceptions=True)
    await until(running.sessions, 1)
    assert running.stack.pids[RELAYS[0]] == process.pid
