"""One PostgreSQL, one Temporal server and one warm interpreter for all workers of pytest-xdist.

They belong to the process that distributes the tests: a thread of it starts each when a worker first asks, and stops
them when the last worker has ended. If that process is killed, they end with it. Each worker has a database and a
namespace of its own there.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from devstack.stack.parts import Blueprint
from devstack.stack.postgres import DATABASE
from devstack.stack.process import Part
from devstack.stack.stack import Stack
from tests.support.warm_interpreter import WarmInterpreter

CONNECTIONS = 400  # to PostgreSQL, from all workers together
ADDRESSES = (
    "DATABASE_URL",
    "TEMPORAL_ADDRESS",
    "TEMPORAL_NAMESPACE",
    "TEMPORAL_CONFIG_FILE",
    "ORDERSAGA_TEMPORAL_UI_URL",
    "ORDERSAGA_BUILD_ID",
)
Answer = dict[str, str]


class SharedServers:
    """What the distributing process has for its workers, until `close`."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._stack = Stack(folder, parts={"postgres", "temporal"}, tailor=self._for_all)
        self._interpreter = WarmInterpreter()
        self._workers = workers
        self._starts: dict[str, asyncio.Task[Answer]] = {}
        self._socket = Path(tempfile.mkdtemp(prefix="shared-")) / "servers"  # a socket's path has to be short
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self._socket))
        self._listening.listen()
        self._stop, self._loop = asyncio.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()], daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where a worker asks for them."""
        return str(self._socket)

    def close(self) -> None:
        """Stops what was started."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._socket.parent)

    async def _serve(self) -> None:
        server = await asyncio.start_unix_server(self._answer, sock=self._listening)
        await self._stop.wait()
        server.close()
        await asyncio.gather(*self._starts.values(), return_exceptions=True)
        await self._stack.stop()
        self._interpreter.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        makers: dict[str, Callable[[], Awaitable[Answer]]] = {
            "servers": self._start_servers,
            "interpreter": self._start_interpreter,
        }
        wanted = (await reader.readline()).decode().strip()
        if wanted not in self._starts:
            self._starts[wanted] = asyncio.ensure_future(makers[wanted]())
        try:
            answer = await asyncio.shield(self._starts[wanted])
        except Exception as failed:
            answer = {"failed": str(failed)}
        writer.write(json.dumps(answer).encode())
        writer.close()

    async def _start_servers(self) -> Answer:
        await self._stack.start()
        return {name: value for name, value in self._stack.environment.items() if name in ADDRESSES}

    async def _start_interpreter(self) -> Answer:
        return {"place": str(await asyncio.to_thread(self._interpreter.started))}

    def _for_all(self, plan: Blueprint, parts: list[Part]) -> list[Part]:
        """With connections and namespaces enough for all workers."""
        namespaces = [word for number in range(self._workers) for word in ("--namespace", f"gw{number}")]
        more = {"postgres": ["-c", f"max_connections={CONNECTIONS}"], "temporal": namespaces}
        return [replace(part, command=[*part.command, *more.get(part.name, [])]) for part in parts]


@dataclass(frozen=True)
class Share:
    """What one worker has of them."""

    address: str
    worker: str

    async def servers(self) -> Answer:
        """The variables that name its own database, a copy of the migrated one, and its namespace."""
        found = await self._ask("servers")
        url = urlsplit(found["DATABASE_URL"])
        administration = await asyncpg.connect(url._replace(path="/postgres").geturl(), ssl=False)
        try:
            await administration.execute(f'CREATE DATABASE "{self.worker}" TEMPLATE "{DATABASE}"')
        finally:
            await administration.close()
        return found | {
            "DATABASE_URL": url._replace(path=f"/{self.worker}").geturl(),
            "TEMPORAL_NAMESPACE": self.worker,
        }

    async def interpreter(self) -> Path:
        """Where it listens."""
        return Path((await self._ask("interpreter"))["place"])

    async def _ask(self, wanted: str) -> Answer:
        """Waits until it has started. Raises RuntimeError when it cannot."""
        reader, writer = await asyncio.open_unix_connection(self.address)
        writer.write(f"{wanted}\n".encode())
        answer: Answer = json.loads(await reader.read())
        writer.close()
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer
