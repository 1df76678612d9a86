"""One part of the stack as a process: started, watched, started again when it dies, stopped.

It runs in a process group of its own, so that Ctrl-C in the terminal reaches the supervisor alone, and writes
what it says to one log file. A death is noticed through a pidfd where the system has them.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from devstack.errors import StackError

LAUNCHER = Path(__file__).with_name("launcher.py")
STARTS_BEFORE_GIVING_UP = 5
RESTART_DELAYS = (0.0, 0.1, 0.3, 1.0, 2.0)  # seconds, by the number of short lives in a row
SHORT_LIFE = 5.0  # seconds
PROBE_EVERY = 0.03  # seconds
POLL_EVERY = 0.1  # seconds, where there is no pidfd
LOG_LIMIT = 5_000_000  # bytes, then the log is set aside once


class PartState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DIED = "died"  # and is being started again
    FAILED = "failed"  # died at start too often: given up
    STOPPED = "stopped"


@dataclass(frozen=True)
class Account:
    """A user of the operating system that a part runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Launch:
    """One start of a part: what its readiness probe may need to tell it from the one before."""

    pid: int
    at: float  # Unix time in seconds


Probe = Callable[[Launch], Awaitable[bool]]
Observer = Callable[[str, PartState], None]


@dataclass(frozen=True)
class Part:
    """What it takes to run one part."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path  # its working directory
    ready: Probe | None = None  # None: a single run that must exit with 0
    needs: frozenset[str] = frozenset()
    prepare: Callable[[], Awaitable[None]] | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL  # what it gets when the supervisor is killed
    stop_within: float = 10.0  # seconds, then SIGKILL
    ready_within: float = 60.0  # seconds


class PartFailed(StackError):
    """A part that cannot be started; the message ends with the tail of its log."""


@dataclass
class PartProcess:
    """The life of one part. `start` and `stop` may be called again and again."""

    part: Part
    log: Path
    observe: Observer
    state: PartState = PartState.STOPPED
    _process: subprocess.Popen[bytes] | None = None
    _life: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _killed: bool = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def start(self) -> None:
        """Run the part and come back when it is ready. Raises PartFailed."""
        if self._life is None or self._life.done():
            self._life = asyncio.create_task(self._live(), name=f"part {self.part.name}")
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Come back when the part is ready, be it after a restart. Raises PartFailed."""
        if self._life is None:
            raise PartFailed(f"{self.part.name} is not started")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({self._life, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._life.done() and not self._life.cancelled():
            self._life.result()

    async def failed(self) -> None:
        """Come back only when the part is given up: by raising PartFailed."""
        while self._life is not None:
            await asyncio.wait({self._life})
            if not self._life.cancelled():
                self._life.result()
            if self.part.ready is None or self._life.cancelled():
                return

    def kill(self) -> int:
        """SIGKILL, as a crash; the part is started again. Returns the pid that was killed."""
        pid = self.pid
        if self._process is None or pid is None:
            raise PartFailed(f"{self.part.name} does not run")
        self._killed = True
        self._ready.clear()
        self._process.kill()
        return pid

    async def stop(self) -> None:
        """End the part gently, by force after `stop_within`; it stays down."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait({self._life})
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(self.part.stop_signal)
            try:
                await asyncio.wait_for(_exit_of(process), self.part.stop_within)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await _exit_of(process)
        self._ready.clear()
        self._turn(PartState.STOPPED)

    async def _live(self) -> None:
        failures = short_lives = 0
        while True:
            self._turn(PartState.STARTING)
            if failures == 0 and self.part.prepare is not None:
                await self.part.prepare()
            process, launch = self._spawn()
            came_up = await self._comes_up(process, launch)
            if came_up:
                failures = 0
                self._ready.set()
                self._turn(PartState.READY)
                if self.part.ready is None:
                    return
                await _exit_of(process)
            elif not self._killed:
                failures += 1
            self._ready.clear()
            self._killed = False
            if failures >= (1 if self.part.ready is None else STARTS_BEFORE_GIVING_UP):
                self._turn(PartState.FAILED)
                raise PartFailed(self._obituary(process.returncode))
            self._turn(PartState.DIED)
            short_lives = short_lives + 1 if time.time() - launch.at < SHORT_LIFE else 0
            await asyncio.sleep(RESTART_DELAYS[min(short_lives, len(RESTART_DELAYS) - 1)])

    def _spawn(self) -> tuple[subprocess.Popen[bytes], Launch]:
        part, account = self.part, self.part.account
        user = (account.uid, account.gid) if account else (-1, -1)
        ties = (os.getpid(), int(part.orphan_signal), *user)
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, ties)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        at = time.time()
        with open(self.log, "ab", opener=_for_its_owner) as log:
            self._process = subprocess.Popen(
                [*launcher, *part.command],
                env=dict(part.environment),
                cwd=part.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,  # databases, mails and logs are their owner's
            )
        return self._process, Launch(self._process.pid, at)

    async def _comes_up(self, process: subprocess.Popen[bytes], launch: Launch) -> bool:
        if self.part.ready is None:
            return await _exit_of(process) == 0
        deadline = time.monotonic() + self.part.ready_within
        while process.poll() is None and time.monotonic() < deadline:
            if await self.part.ready(launch) and process.poll() is None and not self._killed:
                return True
            await asyncio.sleep(PROBE_EVERY)
        if process.poll() is None:  # alive, but never ready
            process.kill()
            await _exit_of(process)
        return False

    def _turn(self, state: PartState) -> None:
        if state is not self.state:
            self.state = state
            self.observe(self.part.name, state)

    def _obituary(self, code: int | None) -> str:
        said = self.log.read_text(errors="replace").splitlines()[-20:]
        tail = "\n".join(f"  | {line}" for line in said)
        return f"{self.part.name} did not start (exit status {code}); the end of {self.log}:\n{tail}"


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


async def _exit_of(process: subprocess.Popen[bytes]) -> int:
    """The exit status, once there is one."""
    if process.poll() is None and hasattr(os, "pidfd_open"):
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        pidfd = os.pidfd_open(process.pid)
        loop.add_reader(pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
    while True:
        code = process.poll()
        if code is not None:
            return code
        await asyncio.sleep(POLL_EVERY)
