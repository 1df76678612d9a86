"""Refuses bodies over the limit, whether or not they say how long they are."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import problem

BODY_LIMIT = 256 * 1024  # bytes


class BodyLimit:
    """Reads a request's body up to the limit before the application sees any of it.

    The application then always has a whole body of a bounded size, and a refusal never comes in mid-answer.
    """

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = None if self._declares_too_much(scope) else await self._read(receive)
        if body and body[-1]["type"] != "http.request":
            return  # the client has gone before its request was whole: nobody waits for an answer
        if body is None:
            refusal = problem(
                413, "content-too-large", f"a body may have {self._limit} bytes", headers={"Connection": "close"}
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _declares_too_much(self, scope: Scope) -> bool:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        return declared.isdigit() and int(declared) > self._limit

    async def _read(self, receive: Receive) -> list[Message] | None:
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages


def _replay(messages: list[Message], receive: Receive) -> Receive:
    pending = iter(messages)

    async def replayed() -> Message:
        for message in pending:
            return message
        return await receive()

    return replayed
