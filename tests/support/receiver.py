"""A merchant's endpoint on loopback: keeps what it gets, and answers as it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from devstack.stack.ports import LOOPBACK


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def place(self) -> tuple[str, int]:
        return self.event["subject"], self.event["sequence"]


Answer = Callable[[Got], web.Response | None]
"""None closes the connection without an answer."""


class Receiver:
    """`answer` decides; while `open` is not set, requests wait."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[Got] = []
        self.waiting = self.most_at_once = 0
        self.answer: Answer = lambda got: web.Response(text="thanks")
        self.open = asyncio.Event()
        self.open.set()

    @property
    def places(self) -> list[tuple[str, int]]:
        return [one.place for one in self.got]

    async def count(self) -> int:
        return len(self.got)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        names = {name.lower(): value for name, value in request.headers.items()}
        got = Got(request.path, names, await request.read())
        self.got.append(got)
        self.waiting += 1
        self.most_at_once = max(self.most_at_once, self.waiting)
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        if (answer := self.answer(got)) is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return answer


@asynccontextmanager
async def receiving(trust: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=trust)
    await site.start()
    try:
        port = runner.addresses[0][1]
        receiver.url = f"{'https' if trust else 'http'}://{LOOPBACK}:{port}/hook"
        yield receiver
    finally:
        receiver.open.set()
        await runner.cleanup()
