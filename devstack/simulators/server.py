"""Runs a simulator's HTTP app: loopback only, no access log, no ticking, stopped at once by SIGTERM."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devstack.simulators.fault_points import TRANSPORT_EXTENSION

logger = logging.getLogger(__name__)


class DroppableProtocol(HttpToolsProtocol):
    """Hands the connection's transport to the app, so that a fault can cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT_EXTENSION: {"transport": self.transport}}


class QuietServer(uvicorn.Server):
    """Waits for a signal instead of waking up ten times a second, and does not wait for slow requests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        # Requests cut off here would each be logged as a failure of the app.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await asyncio.sleep(0)
        await self.lifespan.shutdown()


@asynccontextmanager
async def background(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run an app's loops while it serves. A loop that dies stops the process: a deaf simulator would only mislead."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    for task in tasks:
        task.add_done_callback(_stop_on_failure)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _stop_on_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.critical("a loop of the simulator failed", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)


class ProgramsOnly:
    """Refuses what a browser sends for a page: a simulator takes orders from programs of this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from_a_page = scope["type"] == "http" and any(
            name in (b"origin", b"sec-fetch-site") and value != b"none" for name, value in scope["headers"]
        )
        refusal = PlainTextResponse("no page speaks to a simulator", 403)
        await (refusal if from_a_page else self._app)(scope, receive, send)


def serve(app: Starlette, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. A host outside loopback is refused: there is no TLS and no real secret here."""
    if host != "localhost" and not ip_address(host).is_loopback:
        raise SystemExit(f"a simulator listens on loopback only, not on {host}")
    config = uvicorn.Config(
        ProgramsOnly(app),
        host=host,
        port=port,
        http=DroppableProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
    )
    QuietServer(config).run()
