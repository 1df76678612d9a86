"""A small HTTP server for health checks and metrics, apart from what a process serves to others.

It runs on the process's own event loop, so that an answer says that the loop turns.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, NamedTuple

LONGEST = 10.0  # seconds from a request to the end of its answer
REQUEST_LIMIT = 8192  # bytes
JSON = "application/json"
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  # addresses that others listen on, and nobody connects to


class Answer(NamedTuple):
    """What a page says: `healthy` becomes 200 or 503, `said` the JSON body, or `text` another one."""

    healthy: bool
    said: Mapping[str, Any]
    text: bytes | None = None
    media: str = JSON


Pages = Mapping[str, Callable[[], Awaitable[Answer]]]


@asynccontextmanager
async def served(host: str, port: int, pages: Pages) -> AsyncIterator[None]:
    """Answers `GET` of each path in `pages`; port 0 serves nothing. Raises OSError where the port cannot be had."""
    if not port:
        yield
        return

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(LONGEST):
                writer.write(await _response(await reader.readuntil(b"\r\n\r\n"), pages))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, host, port, limit=REQUEST_LIMIT)
    try:
        yield
    finally:
        server.close()


def url_of(host: str, port: int) -> str | None:
    """Where to ask a page that listens there; None where it is turned off."""
    if not port:
        return None
    reached = "127.0.0.1" if host in EVERYWHERE else host
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


async def _response(request: bytes, pages: Pages) -> bytes:
    method, _, rest = request.decode("latin-1").partition(" ")
    page = pages.get(rest.partition(" ")[0].partition("?")[0])
    if page is None:
        return _written(HTTPStatus.NOT_FOUND)
    if method not in ("GET", "HEAD"):
        return _written(HTTPStatus.METHOD_NOT_ALLOWED)
    healthy, said, text, media = await page()
    return _written(HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE, text or _json(said), media, method)


def _json(said: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(said)).encode()


def _written(status: HTTPStatus, body: bytes = b"{}", media: str = JSON, method: str = "GET") -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {media}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)
