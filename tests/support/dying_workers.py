"""The processes of `dying_worker`, for the tests that wait for their death."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.stack.stack import Stack
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT, Call, warm

DeathOn = Callable[[str], Awaitable[int]]


@asynccontextmanager
async def dying_workers(stack: Stack, cases: Iterable[str]) -> AsyncIterator[DeathOn]:
    """A worker for each case; given a task queue, it waits for the end of its worker and tells what ended it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        words = ["-m", "tests.support.dying_worker", *cases]
        process = await warm.start(Call(words, str(PROJECT), stack.environment_of("worker"), str(out), os.devnull))

        def deaths() -> dict[str, int]:
            told = out.read_text().rpartition("\n")[0].splitlines() if out.exists() else []
            return {
                queue: int(code) for _, queue, code in (line.split() for line in told if line.startswith("died "))
            }

        async def death_on(queue: str) -> int:
            async def told() -> bool:
                running = process.running  # asked first: its last words are there when it has ended
                dead = queue in deaths()
                assert dead or running, "the workers' process ended without a word about this one"
                return dead

            await until(told, True, 90)
            return deaths()[queue]

        try:
            yield death_on
        finally:
            await process.close()
