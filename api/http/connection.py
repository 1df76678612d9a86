"""One connection to the API: how large and how slow a request may be, and how many connections there may be.

uvicorn's parser has no such limit: an endless header kept it busy for seconds, and half a request was kept for good.
"""

from __future__ import annotations

import asyncio
import json
from enum import Enum, auto
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_LIMIT = 32 * 1024  # bytes of the request line and all headers
HEADER_LIMIT = 100  # headers
HEAD_TIME = 10.0  # seconds from the first byte, or from the connection where none comes
BODY_TIME = 30.0  # seconds from the end of the head
CONNECTIONS = 1500  # of one process: as many as it has listeners, and a thousand


class _Reading(Enum):
    NOTHING = auto()  # between two requests
    HEAD = auto()
    BODY = auto()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection whose request is too large or too slow to be one of a client.

    `uvicorn --http api.http.connection:BoundedProtocol`. Each refusal is a problem document, and then the connection
    is closed. A request that comes in one piece, as nearly all do, costs no timer.
    """

    head_limit = HEAD_LIMIT
    head_time = HEAD_TIME
    body_time = BODY_TIME
    most_connections = CONNECTIONS

    _reading = _Reading.NOTHING
    _head = 0  # bytes
    _refused = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection, unless there are too many; it has to say something soon."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(503, "too-many-connections", "this process has as many connections as it can hold")
        else:
            self._begin(_Reading.HEAD)
            self._limit_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection's deadline."""
        self._end_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came; afterwards the request is whole, or has a deadline."""
        if self._refused:
            return
        if self._reading is _Reading.NOTHING:
            self._begin(_Reading.HEAD)
        if self._reading is _Reading.HEAD:
            self._head += len(data)
        super().data_received(data)
        if self._reading is _Reading.HEAD and self._head > self.head_limit:
            self._refuse(431, "head-too-large", f"request line and headers may have {self.head_limit} bytes")
        elif self._reading is _Reading.NOTHING:
            self._end_time()
        else:
            self._limit_time()

    def on_headers_complete(self) -> None:
        """Hands the request on, unless its head is too large although it came at once."""
        if self._refused:
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.head_limit or len(self.headers) > HEADER_LIMIT:
            limits = f"{self.head_limit} bytes and {HEADER_LIMIT} headers"
            self._refuse(431, "head-too-large", f"request line and headers may have {limits}")
            return
        self._end_time()
        self._begin(_Reading.BODY)
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        """A request begins, perhaps one that came with the one before it."""
        if self._reading is not _Reading.HEAD:
            self._begin(_Reading.HEAD)
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Nobody waits for the body of a request that was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the answer has no deadline here."""
        self._reading = _Reading.NOTHING
        if not self._refused:
            super().on_message_complete()

    def _begin(self, reading: _Reading) -> None:
        self._reading, self._head = reading, 0

    def _limit_time(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            seconds = self.head_time if self._reading is _Reading.HEAD else self.body_time
            self._deadline = self.loop.call_later(seconds, self._is_late)

    def _end_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_late(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # we do not read: its client is not to blame
            self._limit_time()
        elif self._reading is not _Reading.NOTHING:
            self._refuse(408, "request-too-slow", "the request did not arrive in time")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self._refused = True
        self._end_time()
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started:
            self.transport.abort()  # an answer is half written: nothing that we add would be read as one
            return
        self.transport.write(_answer(status, code, detail))
        self.transport.close()


def _answer(status: int, code: str, detail: str) -> bytes:
    """A problem as `api.http.problems` makes it, written by hand: there is no request to answer."""
    title = code.replace("-", " ").capitalize()
    said: dict[str, Any] = {"type": f"/problems/{code}", "title": title, "status": status}
    body = json.dumps(said | {"code": code.replace("-", "_"), "detail": detail}).encode()
    head = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return STATUS_LINE[status] + head.encode() + body
