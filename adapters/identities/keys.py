"""The issuer's keys in this process: read anew now and then, and kept for a while when the issuer is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from joserfc.jwk import KeySet

from adapters.identities.key_sources import KeySource, KeysUnreadable
from domain.errors import Unavailable

REFRESH = 600.0  # seconds between two looks
UNKNOWN = 30.0  # seconds between two looks for a key that is not there: else anybody could have us ask all the time
KEPT = 86_400.0  # seconds that the last good keys count while no look succeeds
RETRY_AFTER = timedelta(seconds=10)

log = structlog.get_logger()


class Keys:
    """The last good set. `version` grows when it changes, so that what was verified with another one is forgotten."""

    def __init__(self, source: KeySource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock = source, clock
        self._found: KeySet | None = None
        self._told: frozenset[str] = frozenset()
        self._read_at = self._tried_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self.version = 0

    async def of(self, kid: str) -> KeySet | None:
        """The set that has the key of this id; None where there is no such key.

        Raises Unavailable while there is no set at all.
        """
        now = self._clock()
        if self._found is None or now - self._read_at > KEPT:
            await self._look(not_before=1.0)
        elif self._has(kid) and now - max(self._read_at, self._tried_at) > REFRESH:
            self._start()  # the next request has it
        elif not self._has(kid):
            await self._look(not_before=UNKNOWN)
        if self._found is None or self._clock() - self._read_at > KEPT:
            detail = "the keys that tokens are verified with cannot be read right now; try again later"
            raise Unavailable("identities_away", detail, retry_after=RETRY_AFTER)
        return self._found if self._has(kid) else None

    async def aclose(self) -> None:
        """Ends a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._source.aclose()

    def _has(self, kid: str) -> bool:
        return self._found is not None and any(key.kid == kid for key in self._found.keys)

    async def _look(self, not_before: float) -> None:
        """Waits for a look, unless the last one began less than `not_before` seconds ago and has ended."""
        if self._looking is None and self._clock() - self._tried_at < not_before:
            return
        await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[None]:
        if self._looking is None:
            self._tried_at = self._clock()
            self._looking = asyncio.create_task(self._fetch())
        return self._looking

    async def _fetch(self) -> None:
        try:
            found = await self._source.fetch()
        except KeysUnreadable as error:
            log.warning("identity_keys_not_read", problem=str(error))
            return
        finally:
            self._looking = None
        told = frozenset(f"{key.kid} {key.thumbprint()}" for key in found.keys)
        if told != self._told:
            self.version += 1
        self._found, self._told, self._read_at = found, told, self._clock()
