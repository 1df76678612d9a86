"""Two processes with one consumer, of which the one at work is killed: nothing is lost, and nothing done twice."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.port import Outgoing
from adapters.settings import Settings
from tests.support.consumer_process import FileBroker
from tests.support.consumers import Ledger, order_event
from tests.support.services import PROJECT
from tests.support.waiting import until

SUBJECTS, EACH = 20, 40


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
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_another_process_goes_on_where_one_was_killed(
    engine: AsyncEngine, settings: Settings, tmp_path: Path
) -> None:
    """In the middle of hundreds of transactions, twice; each subject's events are applied once and in order."""
    ledger = Ledger(f"killed-{secrets.token_hex(4)}")
    await ledger.make(engine)
    file = tmp_path / "stream"
    file.touch()
    url = settings.database_url.get_secret_value()
    expected = [(f"s{number}", sequence) for sequence in range(1, EACH + 1) for number in range(SUBJECTS)]
    bodies = [order_event(*one).to_json() for one in expected]
    await FileBroker(file).publish([Outgoing("", 0, "", "", body) for body in bodies])

    async with AsyncExitStack() as stack:
        owner = await _start(stack, ledger, file, url)
        for count in (100, 300):
            await _moved_beyond(count, ledger, engine)
            waiting = await _start(stack, ledger, file, url)
            owner.kill()
            await owner.wait()
            owner = waiting
            await _moved_beyond(await _count(ledger, engine), ledger, engine)
        await until(lambda: _count(ledger, engine), len(expected))

    assert await ledger.held(engine) == expected


async def _moved_beyond(count: int, ledger: Ledger, engine: AsyncEngine) -> None:
    async def look() -> bool:
        return await _count(ledger, engine) > count

    await until(look, True)


async def _count(ledger: Ledger, engine: AsyncEngine) -> int:
    return len(await ledger.held(engine))
