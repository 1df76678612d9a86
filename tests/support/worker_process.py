"""`python worker.py` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from devstack.stack.logins import url_of
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT, Call, WarmProcess, warm


class WorkerProcess:
    """One run of the worker's program."""

    def __init__(self, process: WarmProcess, log: Path) -> None:
        self._process, self._log = process, log

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far, without a line that it still writes."""
        return [json.loads(line) for line in self._log.read_text().rpartition("\n")[0].splitlines()]

    async def says(self, event: str) -> None:
        async def said() -> bool:
            assert self._process.running, self.lines
            return any(line["event"] == event for line in self.lines)

        await until(said, True)

    @property
    def running(self) -> bool:
        return self._process.running

    def send(self, number: signal.Signals) -> None:
        self._process.send(number)

    async def ended(self) -> int:
        return await self._process.ended()

    async def aclose(self) -> None:
        await self._process.close()


Start = Callable[..., Awaitable[WorkerProcess]]


@asynccontextmanager
async def worker_starter(base: Mapping[str, str], folder: Path) -> AsyncIterator[Start]:
    """Starts workers with the environment `base` and the variables given; what still runs at the end is killed."""
    async with AsyncExitStack() as running:
        started = 0

        async def start(*program: str, **environment: str) -> WorkerProcess:
            nonlocal started
            started += 1
            log = folder / f"worker-{started}.log"
            log.touch()
            words = [*(program or ("worker.py",))]
            own = url_of("relay" if words[0] == "relay.py" else "worker", base["DATABASE_URL"])
            call = Call(words, str(PROJECT), {**base, "DATABASE_URL": own, **environment}, os.devnull, str(log))
            worker = WorkerProcess(await warm.start(call), log)
            running.push_async_callback(worker.aclose)
            return worker

        yield start
