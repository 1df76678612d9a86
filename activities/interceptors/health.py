"""How a worker is: what its health page says, and when it should be started again.

A worker ends itself only when attempts of it hang although the database takes a new connection: then it is the
worker's own waits that are wrong. While the database is away, another worker would be no better off.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from activities.interceptors.attempts import Attempt, Attempts
from adapters.telemetry.health_page import Answer, Pages

HUNG = 3  # the exit code of a worker whose attempts hang
EXIT_MARGIN = 2.0  # seconds beyond the grace of a drain
LOOKS = 3  # in a row that have to agree, so that attempts of an outage that has just ended have time to end

Reachable = Callable[[], Awaitable[dict[str, str]]]

log = structlog.get_logger(__name__)


class WorkerHangs(Exception):
    """Attempts whose time ended long ago, in a worker that could reach its database."""

    def __init__(self, attempts: list[Attempt]) -> None:
        super().__init__(f"{len(attempts)} attempts hang: {', '.join(map(str, attempts[:5]))}")


class WorkerHealth:
    """`reachable` asks the parts through the worker's own clients, `connects` the database by a new connection."""

    def __init__(
        self, attempts: Attempts, reachable: Reachable, connects: Callable[[], Awaitable[bool]], every: timedelta
    ) -> None:
        self._attempts, self._reachable, self._connects = attempts, reachable, connects
        self._every = every.total_seconds()

    @property
    def pages(self) -> Pages:
        """By their path: /healthz says whether to start the worker again, /readyz whether it can work."""
        return {"/healthz": self.alive, "/readyz": self.ready}

    async def alive(self) -> Answer:
        """The event loop turns, or nobody would answer, and no attempt holds a slot past its time."""
        hung = self._attempts.overdue()
        said = {"status": "hung" if hung else "ok", "attempts": self._attempts.count, "hung": [str(o) for o in hung]}
        return Answer(not hung, said)

    async def ready(self) -> Answer:
        """PostgreSQL and Temporal answer on the clients that the steps use."""
        parts = await self._reachable()
        return Answer(set(parts.values()) == {"ok"}, parts)

    async def watch_until(self, stop: asyncio.Event, grace: float) -> None:
        """Comes back when the worker is told to stop. Raises WorkerHangs when it has to be started again.

        From then on the process has `grace` seconds and a few more until it is ended by force: attempts that do not
        hang get their time, and those that do would never let the worker stop.
        """
        told, watch = asyncio.create_task(stop.wait()), asyncio.create_task(self.hung())
        try:
            await asyncio.wait({told, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                _end_by_force_after(grace + EXIT_MARGIN)
                raise WorkerHangs(watch.result())
        finally:
            told.cancel()
            watch.cancel()

    async def hung(self) -> list[Attempt]:
        """Comes back when the same attempts hung at several looks in a row, while the database could be reached."""
        looks: list[set[Attempt]] = []
        while True:
            await asyncio.sleep(self._every)
            overdue = self._attempts.overdue()
            if not overdue or not await self._connects():
                looks = []
                continue
            log.error("attempts hang", attempts=[str(attempt) for attempt in overdue])
            looks = [*looks, set(overdue)][-LOOKS:]
            if len(looks) == LOOKS and (throughout := set.intersection(*looks)):
                return [attempt for attempt in overdue if attempt in throughout]


def _end_by_force_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, [HUNG])
    timer.daemon = True
    timer.start()
