"""Writes down what is done by the API: each change but a checkout, each read by who sees others' rows, each refusal.

A checkout says on the order's own row who placed it. An entry is written before its answer goes out; those of
requests at the same time share one statement. Equal refusals are counted, and written once a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.authentication import PRINCIPAL, is_public
from api.http.observation import UNKNOWN_ROUTE, current_request_id
from domain.identities import Principal, Role
from services.audit.audit import NewEntry

REFUSED = frozenset([401, 403, 429])
FAILED = 500  # what such an answer is about may have happened, or not
PRIVILEGED = frozenset([Role.SUPPORT, Role.OPERATIONS, Role.AUDITOR, Role.PRIVACY])
CHECKOUT = ("POST", "/api/orders")
PATIENCE = 2.0  # seconds that an answer waits for its entry; a database that is away gets it later
COUNTED_FOR = 60.0  # seconds
MOST_WAITING = 10_000  # entries while the database is away; and kinds of refusal in a minute
RETRY = 1.0  # seconds
AT_ONCE = 500  # entries of one statement

Write = Callable[[Sequence[NewEntry]], Awaitable[None]]

log = structlog.get_logger()


class AuditTrail:
    """Of one API process; `write` adds entries to the table."""

    def __init__(self, write: Write, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._waiting: list[tuple[NewEntry, asyncio.Future[None]]] = []
        self._refusals: Counter[NewEntry] = Counter()
        self._counted_since = clock()
        self._news = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None  # from the first entry on

    async def record(self, entry: NewEntry, *, waits: bool = True) -> None:
        """Comes back when the entry is written, or after a while; at once where nobody `waits` for it."""
        if len(self._waiting) >= MOST_WAITING:
            log.error("audit_entry_lost", method=entry.method, route=entry.route)
            return
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        self._begin()
        self._news.set()
        if not waits:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(written), PATIENCE)

    def count(self, refused: NewEntry) -> None:
        """Counts a refusal; who is refused waits for nothing."""
        if refused in self._refusals or len(self._refusals) < MOST_WAITING:
            self._refusals[refused] += 1
            self._begin()

    async def aclose(self) -> None:
        """Writes what waits, as far as the database takes it."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        self._take_refusals()
        with suppress(Exception):
            async with asyncio.timeout(PATIENCE):
                while self._waiting:
                    await self._write_some()

    def _begin(self) -> None:
        if self._loop is None:
            self._loop = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            left = self._counted_since + COUNTED_FOR - self._clock()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left)):
                    await self._news.wait()
            self._news.clear()
            if self._clock() >= self._counted_since + COUNTED_FOR:
                self._take_refusals()
            try:
                while self._waiting:
                    await self._write_some()
            except Exception as error:
                log.warning("audit_not_written", error=type(error).__name__, entries=len(self._waiting))
                await asyncio.sleep(RETRY)
                self._news.set()

    async def _write_some(self) -> None:
        batch = self._waiting[:AT_ONCE]
        await self._write([entry for entry, _ in batch])
        del self._waiting[: len(batch)]
        for _, written in batch:
            if not written.done():
                written.set_result(None)

    def _take_refusals(self) -> None:
        counted, self._refusals = self._refusals, Counter()
        self._counted_since = self._clock()
        loop = asyncio.get_running_loop()
        self._waiting += [(one._replace(times=times), loop.create_future()) for one, times in counted.items()]


class Audit:
    """The middleware: outside of the one that settles who asks, so that it sees who was refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                await _note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, watched)


async def _note(scope: Scope, status: int) -> None:
    trail: AuditTrail | None = getattr(scope["app"].state, "audit", None)
    if trail is None:
        return None
    principal: Principal | None = scope.get("state", {}).get(PRINCIPAL)
    route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
    if status in REFUSED:
        return trail.count(_entry(scope, principal, route, "", status, ""))
    if principal is None or (scope["method"], scope["path"]) == CHECKOUT:
        return None
    if scope["method"] in ("GET", "HEAD") and not principal.roles & PRIVILEGED:
        return None
    entry = _entry(scope, principal, route, scope["path"], status, current_request_id())
    return await trail.record(entry, waits=status < FAILED)


def _entry(
    scope: Scope, principal: Principal | None, route: str, about: str, status: int, request_id: str
) -> NewEntry:
    who = (principal.issuer, principal.subject, principal.by) if principal else ("", "", "")
    return NewEntry(*who, scope["method"], route, about[:500], status, request_id)
