"""Starts the parts of a stack, each as soon as what it needs is ready, and stops them in the reverse order."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from devstack.stack.process import Observer, PartFailed, PartProcess
from devstack.stack.process import Part as Part


class Supervisor:
    """The processes of one stack. A part that dies is started again on the same port and data."""

    def __init__(self, parts: Iterable[Part], logs: Path, observe: Observer) -> None:
        self._processes = {part.name: PartProcess(part, logs / f"{part.name}.log", observe) for part in parts}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._processes)

    @property
    def pids(self) -> dict[str, int]:
        """The process id of every part that runs now."""
        return {name: process.pid for name, process in self._processes.items() if process.pid is not None}

    def __getitem__(self, name: str) -> PartProcess:
        if name not in self._processes:
            raise PartFailed(f"this stack has no part {name!r}, only {', '.join(sorted(self._processes))}")
        return self._processes[name]

    async def start(self) -> None:
        """Come back when every part is ready. Raises PartFailed as soon as one cannot be started."""
        starts: dict[str, asyncio.Task[None]] = {}

        async def start_one(process: PartProcess) -> None:
            await asyncio.gather(*(asyncio.shield(starts[name]) for name in process.part.needs & self.names))
            await process.start()

        for name, process in self._processes.items():
            starts[name] = asyncio.create_task(start_one(process))
        try:
            await asyncio.gather(*starts.values())
        finally:
            for start in starts.values():
                start.cancel()
            await asyncio.gather(*starts.values(), return_exceptions=True)

    async def stop(self) -> None:
        """Stop every part, those that others need last."""
        stops: dict[str, asyncio.Task[None]] = {}

        async def stop_one(process: PartProcess) -> None:
            users = [other.part.name for other in self._processes.values() if process.part.name in other.part.needs]
            await asyncio.gather(*(asyncio.shield(stops[name]) for name in users))
            await process.stop()

        for name, process in self._processes.items():
            stops[name] = asyncio.create_task(stop_one(process))
        await asyncio.gather(*stops.values())

    async def failed(self) -> None:
        """Come back only by raising the PartFailed of a part that was given up."""
        watches = [asyncio.create_task(process.failed()) for process in self._processes.values()]
        try:
            await asyncio.gather(*watches)
            await asyncio.Event().wait()
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
