"""How a relay is: what its health page says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapters.postgres.reachability import AWAY, OK
from adapters.telemetry.health_page import Answer, Pages
from events.relay import Relay

STUCK = 120.0  # seconds beyond the longest pause without a look at the inbox; every statement ends much earlier

Reachable = Callable[[], Awaitable[dict[str, str]]]


class RelayHealth:
    """`reachable` asks PostgreSQL and Temporal through the relay's own clients; `longest_pause` in seconds."""

    def __init__(self, relay: Relay, reachable: Reachable, longest_pause: float) -> None:
        self._relay, self._reachable = relay, reachable
        self._most = longest_pause + STUCK

    @property
    def pages(self) -> Pages:
        return {"/healthz": self.alive, "/readyz": self.ready}

    async def alive(self) -> Answer:
        """The event loop turns, or nobody would answer, and the inbox is looked at."""
        stuck = self._relay.silence > self._most
        return Answer(not stuck, {"status": "stuck" if stuck else "ok", "following_up": self._relay.held})

    async def ready(self) -> Answer:
        """PostgreSQL and Temporal answer. Whether notifications arrive is said, too: without them all comes later.

        So is whether the broker took what was sent last: while it is away events wait, and all else goes on.
        """
        parts = await self._reachable()
        listens = OK if self._relay.listening.is_set() else AWAY
        said = parts | {"notifications": listens}
        if self._relay.broker_answers is not None:
            said["broker"] = OK if self._relay.broker_answers else AWAY
        return Answer(set(parts.values()) == {OK}, said)
