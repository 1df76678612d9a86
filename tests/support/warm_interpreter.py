"""An interpreter that has loaded this project's programs, and forks a process for each call of one.

To start Python and to import a program costs a second of a core and more, the fork some milliseconds. What runs is a
process as any other: with an environment, a folder, streams and an exit code of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from devstack.stack.environment import harmless
from tests.support.garbage import collect_less_often

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = ("cli", "worker", "relay", "api.app", "uvicorn.main", "tests.support.dying_worker")  # loaded once


@dataclass(frozen=True)
class Call:
    """One call of a program: `words` are a path and what follows it, or `-m`, a module and what follows that.

    `out` and `err` are the files that get its streams.
    """

    words: list[str]
    folder: str
    environment: dict[str, str]
    out: str
    err: str


class WarmProcess:
    """One call that runs. It ends with `close`, and with the process that has started it."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self._writer = writer
        self._end = asyncio.create_task(self._read_end(reader))

    async def _read_end(self, reader: asyncio.StreamReader) -> int:
        code = int(await reader.readline())
        self._writer.close()
        return code

    @property
    def running(self) -> bool:
        return not self._end.done()

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def ended(self, seconds: float = 60) -> int:
        """Its exit code, when it has ended by itself."""
        return await asyncio.wait_for(asyncio.shield(self._end), seconds)

    async def close(self) -> None:
        """Kills it if it runs."""
        if self.running:
            self.send(signal.SIGKILL)
        await self.ended()


class WarmInterpreter:
    """Starts with its first call, and ends with `close` or with the process that has it.

    `found` tells where another process has one: then it uses that.
    """

    def __init__(self) -> None:
        self.found: Callable[[], Awaitable[Path]] | None = None
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, call: Call) -> WarmProcess:
        """A new process."""
        place = await self.found() if self.found else self.started()
        reader, writer = await asyncio.open_unix_connection(place)
        try:
            writer.write(json.dumps(vars(call)).encode() + b"\n")
            return WarmProcess(int(await reader.readline()), reader, writer)
        except BaseException:
            writer.close()
            raise

    def started(self) -> Path:
        """Where it listens."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="warm-"))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm_interpreter", str(self._folder / "calls")],
                cwd=PROJECT, env=harmless(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == b"ready\n"
        return self._folder / "calls"

    def close(self) -> None:
        if self._folder is not None and self._process is not None:
            with self._process:  # closes its standard input, at whose end it leaves
                pass
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = self._process = None


warm = WarmInterpreter()


def _serve(place: str) -> None:
    """Until standard input ends."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        os.write(1, b"ready\n")
        while True:
            watched: list[socket.socket | int] = [listening, 0]
            readable, _, _ = select.select(watched, [], [])
            if 0 in readable:
                return
            _forget_ended()
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    _answer(connection)


def _forget_ended() -> None:
    """The children that have waited for a call's end."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _answer(connection: socket.socket) -> NoReturn:
    """In a process of its own: runs the call in one more, tells its id and its end, and kills it with the caller."""
    with connection.makefile("rb") as said:
        call = Call(**json.loads(said.readline()))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _run(call)
    with suppress(OSError):
        connection.sendall(b"%d\n" % pid)
    threading.Thread(target=_kill_with_caller, args=(connection, pid), daemon=True).start()
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # nobody waits for it any more
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _kill_with_caller(connection: socket.socket, pid: int) -> None:
    with suppress(OSError):
        connection.recv(1)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _run(call: Call) -> NoReturn:
    os.chdir(call.folder)
    os.environ.clear()
    os.environ.update(call.environment)
    _stream(0, os.devnull, os.O_RDONLY)
    _stream(1, call.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    _stream(2, call.err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    code: Any = 0
    try:
        if call.words[0] == "-m":
            sys.argv = call.words[1:]
            runpy.run_module(call.words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = call.words
            runpy.run_path(call.words[0], run_name="__main__")
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as Python itself does at the end of a program
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _stream(number: int, path: str, flags: int) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, number)
    os.close(opened)


def _load() -> None:
    import commandline

    for name in PROGRAMS:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(commandline.__path__, "commandline."):
        importlib.import_module(module.name)


if __name__ == "__main__":
    _load()
    collect_less_often()  # a look at an object would copy its page in each fork
    assert threading.active_count() == 1, "a process with threads must not fork"
    _serve(sys.argv[1])
    shutil.rmtree(Path(sys.argv[1]).parent, ignore_errors=True)  # whoever was killed does not
