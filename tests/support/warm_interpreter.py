"""An interpreter that has loaded the `ordersaga` command, and forks a process for each call of it.

To start Python and to import the command costs a second of a core, the fork some milliseconds. What runs is a process
as any other: with an environment, a folder, streams and an exit code of its own.
"""

from __future__ import annotations

import asyncio
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
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Call:
    """One call of a program of this project; `out` and `err` are the files that get its streams."""

    program: str
    words: list[str]
    folder: str
    environment: dict[str, str]
    out: str
    err: str


class WarmInterpreter:
    """Starts with its first call, and ends with `close` or with the process that has it."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self, call: Call, environment: Mapping[str, str]) -> int:
        """The call's exit code; `environment` is what the interpreter starts with. Canceled, it kills the process."""
        reader, writer = await asyncio.open_unix_connection(self._started(environment))
        pid = None
        try:
            writer.write(json.dumps(vars(call)).encode())
            writer.write_eof()
            pid = int(await reader.readline())
            code = int(await reader.readline())
            pid = None
        finally:
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            writer.close()
        return code

    def _started(self, environment: Mapping[str, str]) -> Path:
        """Where it listens."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="warm-"))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm_interpreter", str(self._folder / "calls")],
                cwd=PROJECT, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == b"ready\n"
        return self._folder / "calls"

    def close(self) -> None:
        if self._folder is not None and self._process is not None:
            with self._process:  # closes its standard input, at whose end it leaves
                pass
            shutil.rmtree(self._folder)
            self._folder = self._process = None


def _serve(place: str) -> None:
    """Until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children that wait for a call's end are not waited for
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        os.write(1, b"ready\n")
        while True:
            watched: list[socket.socket | int] = [listening, 0]
            readable, _, _ = select.select(watched, [], [])
            if 0 in readable:
                return
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    _answer(connection)


def _answer(connection: socket.socket) -> NoReturn:
    """In a process of its own: runs the call in one more, and tells its id and its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    call = Call(**json.loads(b"".join(iter(lambda: connection.recv(65536), b""))))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _run(call)
    connection.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # nobody waits for it any more
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _run(call: Call) -> NoReturn:
    os.chdir(call.folder)
    os.environ.clear()
    os.environ.update(call.environment)
    _stream(0, os.devnull, os.O_RDONLY)
    _stream(1, call.out, os.O_WRONLY | os.O_CREAT)
    _stream(2, call.err, os.O_WRONLY | os.O_CREAT)
    sys.argv = [call.program, *call.words]
    code: Any = 0
    try:
        runpy.run_path(call.program, run_name="__main__")
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _stream(number: int, path: str, flags: int) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, number)
    os.close(opened)


def _load() -> None:
    import cli
    import commandline

    assert cli.app
    for module in pkgutil.walk_packages(commandline.__path__, "commandline."):
        importlib.import_module(module.name)


if __name__ == "__main__":
    _load()
    _serve(sys.argv[1])
