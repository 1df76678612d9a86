"""Around every request: an id for its log lines and its sender, and how long the answer took."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-ID"
_HEADER = REQUEST_ID.lower().encode()
_FIT_FOR_A_LOG = re.compile(rb"[0-9A-Za-z_-]{8,64}")
UNKNOWN_ROUTE = "none"  # one value for every address that leads nowhere

Answered = Callable[[str, str, int, float], None]


class Observation:
    """The outermost of our middlewares. `answered` gets method, route template, status and seconds."""

    def __init__(self, app: ASGIApp, answered: Answered) -> None:
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        began, status, seconds = time.perf_counter(), 0, 0.0

        async def observed(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                # To the beginning of the answer: a stream's end says nothing of how long anybody waited.
                status, seconds = message["status"], time.perf_counter() - began
                message["headers"] = [*message.get("headers", ()), (_HEADER, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception:
            if not status:  # the error is answered outside of us
                status, seconds = 500, time.perf_counter() - began
            raise
        finally:
            if status:
                route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
                self._answered(scope["method"], route, status, seconds)


def _request_id(scope: Scope) -> str:
    """The sender's own, where it is fit for a log, so that its lines and ours can be joined."""
    for name, value in scope["headers"]:
        if name == _HEADER and _FIT_FOR_A_LOG.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(8)


def current_request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
