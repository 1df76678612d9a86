"""`python worker.py` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.waiting import until

PROJECT = Path(__file__).resolve().parents[2]


class WorkerProcess:
    """One run of the worker's program. `lines` are what it has logged so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(json.loads(line))

    async def says(self, event: str) -> None:
        async def said() -> bool:
            assert self._process.returncode is None, self.lines
            return any(line["event"] == event for line in self.lines)

        await until(said, True)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        code = await asyncio.wait_for(self._process.wait(), 60)
        await self._reader
        return code

    async def aclose(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()


Start = Callable[..., Awaitable[WorkerProcess]]


@asynccontextmanager
async def worker_starter(base: Mapping[str, str]) -> AsyncIterator[Start]:
    """Starts workers with the environment `base` and the variables given; what still runs at the end is killed."""
    async with AsyncExitStack() as running:

        async def start(*program: str, **environment: str) -> WorkerProcess:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *(program or ("worker.py",)),
                cwd=PROJECT,
                env={**base, **environment},
                stderr=asyncio.subprocess.PIPE,
            )
            worker = WorkerProcess(process)
            running.push_async_callback(worker.aclose)
            return worker

        yield start
