"""The benchmark's own processes, and what every process of a run takes of the CPU."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.errors import BenchmarkFailed
from devstack.stack.process import LAUNCHER

PROJECT = Path(__file__).resolve().parent.parent
PATIENCE = 300.0  # seconds for one command
LINE_LIMIT = 64 * 1024 * 1024  # bytes of one answer
LOG_TAIL = 1500  # characters


def tied(command: list[str]) -> list[str]:
    """The command, ended by the kernel when this process is gone, however it went."""
    return [
        sys.executable,
        "-I",
        "-S",
        str(LAUNCHER),
        str(os.getpid()),
        str(int(signal.SIGKILL)),
        "-1",
        "-1",
        *command,
    ]


class StationProcess:
    """A `benchmarks.station`, or another `program` that obeys, in a process of its own; runs inside `async with`."""

    def __init__(
        self,
        role: str,
        at_once: int,
        environment: Mapping[str, str],
        log: Path,
        program: Sequence[str] = (sys.executable, "-m", "benchmarks.station"),
    ) -> None:
        self._role = role
        self._command = tied([*program, role, str(at_once)])
        self._environment = dict(environment)
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=PROJECT,
                env=self._environment,
                stdin=pipe,
                stdout=pipe,
                stderr=log,
                limit=LINE_LIMIT,
                start_new_session=True,
            )
        try:
            await self._answer()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def tell(self, do: str, **more: Any) -> Any:
        """Has the station do something and waits for it. Raises BenchmarkFailed."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        return await self._answer()

    async def kill(self) -> None:
        """SIGKILL; it can be started again by entering it again."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def _answer(self) -> Any:
        assert self._process is not None and self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        except TimeoutError:
            raise BenchmarkFailed(f"the station {self._role} took longer than {PATIENCE:.0f} s") from None
        if not line:
            tail = self._log.read_text(errors="replace")[-LOG_TAIL:]
            raise BenchmarkFailed(f"the station {self._role} is gone; it said last:\n{tail}")
        answer = json.loads(line)
        if answer["error"]:
            raise BenchmarkFailed(answer["error"])
        return answer["done"]

    async def _end(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@dataclass(frozen=True)
class CpuReading:
    """CPU seconds so far: by group of processes, and of the whole machine."""

    groups: Mapping[str, float]
    machine: float

    def since(self, before: CpuReading) -> CpuReading:
        groups = {name: seconds - before.groups.get(name, 0.0) for name, seconds in self.groups.items()}
        return CpuReading(groups, self.machine - before.machine)

    @property
    def elsewhere(self) -> float:
        """What processes that are none of ours took: the noise of the measurement."""
        return max(0.0, self.machine - sum(self.groups.values()))


class CpuMeter:
    """Reads the CPU seconds of groups of processes with all their children, and of this one as `controller`."""

    def __init__(self, groups: Mapping[str, list[int]]) -> None:
        self._groups = {**groups, "controller": [os.getpid()]}

    def read(self) -> CpuReading:
        own = {name: sum(map(self._of, pids)) for name, pids in self._groups.items()}
        times = psutil.cpu_times()
        return CpuReading(own, sum(times) - times.idle - getattr(times, "iowait", 0.0))

    def _of(self, pid: int) -> float:
        """With the children that have ended; the controller's are counted where they belong."""
        process = psutil.Process(pid)
        if pid == os.getpid():
            own = process.cpu_times()
            return float(own.user + own.system)
        return sum(_seconds(one) for one in (process, *process.children(recursive=True)))


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # its parent has its seconds now
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
