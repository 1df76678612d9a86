"""The `ordersaga` command run for real, against an API that is served on a port of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from adapters.settings import Settings
from devstack.stack.environment import harmless
from tests.support.identities import signer, token
from tests.support.warm_interpreter import Call, warm

PROJECT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 280.0  # seconds for one command
CLI = str(PROJECT / "cli.py")


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        assert self.out, self.err
        return json.loads(self.out)

    @property
    def failure(self) -> Any:
        """The one JSON document on standard error."""
        return json.loads(self.err)


@dataclass(frozen=True)
class Command:
    """`ordersaga` as a process with an environment and a folder of its own; `cold` means a new interpreter, too."""

    folder: Path
    variables: dict[str, str]
    cold: bool = False

    async def __call__(self, *words: str | Path, **variables: str) -> Ran:
        who = {"ORDERSAGA_TOKEN": token(subject=_by(words))} if signer.known else {}
        environment = harmless(os.environ) | who | self.variables | variables
        if self.cold:
            return await self._started(environment, *words)
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            process = await warm.start(
                Call([CLI, *map(str, words)], str(self.folder), environment, str(out), str(err))
            )
            try:
                return _ran(await process.ended(PATIENCE), out, err)
            finally:
                await process.close()

    async def _started(self, environment: dict[str, str], *words: str | Path) -> Ran:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            CLI,
            *map(str, words),
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
        return Ran(process.returncode or 0, out.decode(), err.decode())


def _by(words: tuple[str | Path, ...]) -> str:
    """Whom the command line names with `--by`: the token is theirs."""
    said = [str(word) for word in words]
    return said[said.index("--by") + 1] if "--by" in said else "operations"


def _ran(code: int, out: Path, err: Path) -> Ran:
    return Ran(code, out.read_text(), err.read_text())


def engine_of(settings: Settings) -> dict[str, str]:
    """The variables by which a command finds the test's Temporal."""
    return {"TEMPORAL_ADDRESS": settings.temporal_address, "TEMPORAL_NAMESPACE": settings.temporal_namespace}


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves the process's signals to pytest."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The application, whose lifespan runs already, on a free loopback port; its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    server = _Server(config)
    task = asyncio.create_task(server.serve([listening]))
    try:
        await server.listens.wait()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()


@asynccontextmanager
async def program(*words: str, environment: Mapping[str, str]) -> AsyncIterator[None]:
    """A Python program of this project beside the test, stopped at the end."""
    process = await warm.start(Call([*words], str(PROJECT), dict(environment), os.devnull, os.devnull))
    try:
        yield
    finally:
        process.send(signal.SIGTERM)
        await process.ended()
