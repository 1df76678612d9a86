"""Two processes with one consumer, of which the one at work is killed: nothing is lost, and nothing done twice."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.port import Outgoing
from adapters.settings import Settings
from tests.support.consumer_process import FileBroker
from tests.support.consumers import Ledger, order_event
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT

pytestmark = pytest.mark.slow

KILLS, SUBJECTS, EACH = 2, 20, 15


async def _start(stack: AsyncExitStack, ledger: Ledger, file: Path, url: str) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.consumer_process", ledger.name, str(file), cwd=PROJECT,
        env={"DATABASE_URL": url, "PATH": os.environ["PATH"]}, stdout=PIPE,
    )  # fmt: skip
    stack.push_async_callback(_end, process)
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"running"
    return process


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def test_another_process_goes_on_where_one_was_killed(
    engine: AsyncEngine, settings: Settings, tmp_path: Path
) -> None:
    """In the middle of hundreds of transactions, twice; each subject's events are applied once and in order."""
    ledger = Ledger(f"killed-{secrets.token_hex(4)}")
    await ledger.make(engine)
    broker = FileBroker(tmp_path / "stream")
    start = partial(_start, ledger=ledger, file=broker.file, url=settings.database_url.get_secret_value())
    expected: list[tuple[str, int]] = []
    async with AsyncExitStack() as stack:
        owner = await start(stack)
        for part in range(KILLS):
            waiting = await start(stack)
            events = [(f"s{number}", sequence) for sequence in range(EACH) for number in range(SUBJECTS)]
            events = [(subject, 1 + part * EACH + sequence) for subject, sequence in events]
            bodies = [order_event(*one).to_json() for one in events]
            await broker.publish([Outgoing("", 0, "", "", body) for body in bodies])
            await _moved_beyond(len(expected) + SUBJECTS, ledger, engine)
            owner.kill()
            await owner.wait()
            owner = waiting
            expected += events
            await _moved_beyond(len(expected) - 1, ledger, engine)

    assert await ledger.held(engine) == expected


async def _moved_beyond(count: int, ledger: Ledger, engine: AsyncEngine) -> None:
    async def look() -> bool:
        return await _count(ledger, engine) > count

    await until(look, True)


async def _count(ledger: Ledger, engine: AsyncEngine) -> int:
    return len(await ledger.held(engine))
