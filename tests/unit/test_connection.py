"""Raw sockets against the API's own protocol: what is too large or too slow to be a request ends the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.http.body_limit import BodyLimit
from api.http.connection import BoundedProtocol

LATE = 0.3  # seconds


class Hasty(BoundedProtocol):
    head_time = body_time = LATE
    most_connections = 20


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(BodyLimit(echo), port=0, http=Hasty, lifespan="off", log_level="critical", ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    server.servers[0].close()


async def said(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that the server answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            with suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(pause)
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def problem_of(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head and b"connection: close" in head
    return int(head.split()[1]), json.loads(body)


WHOLE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"


async def test_a_request_in_any_pieces_is_answered(port: int) -> None:
    """As long as it comes in time, and after another one on the same connection."""
    kept = WHOLE.replace(b"Connection: close\r\n", b"")
    assert (await said(port, WHOLE)).endswith(b"3")
    assert (await said(port, *(WHOLE[at : at + 9] for at in range(0, len(WHOLE), 9)))).endswith(b"3")
    assert (await said(port, kept + WHOLE)).count(b"200 OK") == 2
    assert (await said(port, kept, WHOLE, pause=2 * LATE)).count(b"200 OK") == 2  # silent between two requests


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n",
    ],
    ids=["endless header", "endless address", "one large header", "many headers"],
)
async def test_a_head_that_is_too_large_ends_the_connection(port: int, head: bytes) -> None:
    """An endless one is not read on."""
    answer = await said(port, head)
    if answer:  # what was sent after the end may have reset the connection before the answer was read
        assert problem_of(answer)[0] == 431


async def test_an_endless_header_is_cut_off_early(port: int) -> None:
    """The client cannot go on sending for long."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    with pytest.raises(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        while sent < 100 * 2**20:
            writer.write(b"a" * 65536)
            await writer.drain()
            sent += 65536
    writer.close()
    assert sent < 32 * 2**20  # what the sockets' buffers take


@pytest.mark.parametrize(
    "part", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", WHOLE[:-1]], ids=["silent", "line", "head", "body"]
)
async def test_half_a_request_is_not_kept(port: int, part: bytes) -> None:
    """Whoever does not finish is told so, and the connection is free again."""
    status, problem = problem_of(await said(port, *[part] * bool(part)))
    assert (status, problem["code"]) == (408, "request_too_slow")


async def test_a_process_has_no_more_connections_than_it_can_hold(port: int) -> None:
    """One more is told so at once, while those that there are go on."""
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(Hasty.most_connections)]
    status, problem = problem_of(await said(port))
    assert (status, problem["code"]) == (503, "too_many_connections")
    reader, writer = held[0]
    writer.write(WHOLE)
    assert (await reader.read()).endswith(b"3")
    for _, one in held:
        one.close()
