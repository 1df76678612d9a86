"""Holds everybody to their rates, in one process: takes turns from the buckets in advance, and hands them out.

Most requests cost no statement. Who has no turn left is told from memory until there is one again, so that a flood
costs the database nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, TypeVar

import structlog

from domain.errors import TooMany, Unavailable
from domain.rate_limits import KEPT_FOR, Limit, Rate, Standing
from services.limits.buckets import Bucket, Buckets

REMEMBERED = 10_000  # buckets
CLOSING = 2.0  # seconds
ASKED_AGAIN = 1.0  # seconds in which nobody asks buckets that were too slow

Got = TypeVar("Got")
log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Lease:
    """What this process has of a bucket. Times are the clock's."""

    left: int = 0
    until: float = 0.0
    ahead: float = 0.0  # seconds until the bucket is full, as of `seen`
    seen: float = 0.0
    refused_until: float = 0.0
    refill: asyncio.Task[None] | None = None


class Limiter:
    """Of one process. `patience`: seconds that a request waits for the buckets."""

    def __init__(
        self,
        buckets: Buckets,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
        is_away: Callable[[BaseException], bool] = lambda _: False,
    ) -> None:
        """`is_away` tells a database that cannot be reached from any other failure."""
        self._buckets, self._patience, self._clock, self._is_away = buckets, patience, clock, is_away
        self._leases: OrderedDict[tuple[Limit, str], _Lease] = OrderedDict()
        self._slow_until = 0.0
        self._asking: set[asyncio.Task[Any]] = set()

    async def take(self, kind: Limit, key: str, rate: Rate) -> Standing:
        """Takes a turn. Raises TooMany where none is left, Unavailable where that cannot be told."""
        lease = self._lease(kind, key)
        while True:
            now = self._clock()
            if lease.left and now >= lease.until:
                lease.left = 0
            if lease.left:
                lease.left -= 1
                if rate.at_once > 1 and lease.left <= rate.at_once // 2 and self._may_ask(lease, now):
                    self._begin(lease, kind, key, rate)  # nobody waits for it
                return _standing(lease, kind, rate, now)
            if now < lease.refused_until:
                raise too_many(kind, rate, lease.refused_until - now)
            await self.patiently(lambda: lease.refill or self._begin(lease, kind, key, rate))

    async def patiently(self, ask: Callable[[], asyncio.Task[Got]]) -> Got:
        """What the buckets answer to what `ask` begins; that goes on where nobody waits for it any longer.

        Raises Unavailable where it fails, or takes too long: then nobody waits for a moment.
        """
        if self._clock() < self._slow_until:
            raise _limits_away()
        asked = ask()
        await asyncio.wait({asked}, timeout=self._patience)
        if not asked.done():
            log.warning("limits_slow")
            self._slow_until = self._clock() + ASKED_AGAIN
            raise _limits_away()
        self._slow_until = 0.0
        if error := asked.exception():
            log.warning("limits_not_readable", error=type(error).__name__)
            raise _database_away() if self._is_away(error) else _limits_away()
        return asked.result()

    def begin(self, asking: Coroutine[Any, Any, Got]) -> asyncio.Task[Got]:
        """A task whose error nobody has to be told."""
        task = asyncio.create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task

    async def aclose(self) -> None:
        """Waits a moment for what was asked of the buckets."""
        if self._asking:
            await asyncio.wait(self._asking, timeout=CLOSING)

    def _may_ask(self, lease: _Lease, now: float) -> bool:
        return lease.refill is None and now >= max(lease.refused_until, self._slow_until)

    def _lease(self, kind: Limit, key: str) -> _Lease:
        if (lease := self._leases.get((kind, key))) is None:
            lease = self._leases[kind, key] = _Lease()
            if len(self._leases) > REMEMBERED:
                self._leases.popitem(last=False)
        else:
            self._leases.move_to_end((kind, key))
        return lease

    def _begin(self, lease: _Lease, kind: Limit, key: str, rate: Rate) -> asyncio.Task[None]:
        lease.refill = self.begin(self._refill(lease, kind, key, rate))
        lease.refill.add_done_callback(lambda _: setattr(lease, "refill", None))
        return lease.refill

    async def _refill(self, lease: _Lease, kind: Limit, key: str, rate: Rate) -> None:
        got = await _twice(lambda: self._buckets.take(kind, key, rate, rate.at_once))
        now = self._clock()
        lease.ahead, lease.seen = got.ahead, now
        lease.left += got.taken
        lease.until = now + KEPT_FOR
        if not got.taken:
            lease.refused_until = now + max(rate.wait(got.ahead), 0.001)


async def _twice(ask: Callable[[], Awaitable[Bucket]]) -> Bucket:
    """A connection that was cut while it was idle is noticed by the first statement on it."""
    try:
        return await ask()
    except Exception:
        return await ask()


def _standing(lease: _Lease, kind: Limit, rate: Rate, now: float) -> Standing:
    ahead = max(0.0, lease.ahead - (now - lease.seen))
    unused = lease.left * rate.interval
    return Standing(kind, rate.times, min(rate.times, rate.left(ahead) + lease.left), max(0.0, ahead - unused))


CODES = {
    Limit.CANCELS: ("too_many_cancels", "too many cancels of this order"),
    Limit.DECLINES: ("too_many_declines", "too many cards were declined"),
    Limit.LOGINS: ("too_many_failed_logins", "too many requests without a token or key that counts"),
}
"""The code and the words of each refusal; the others are too many requests."""


def too_many(kind: Limit, rate: Rate, wait: float) -> TooMany:
    """The refusal of who has no turn left for so many seconds."""
    code, words = CODES.get(kind, ("too_many_requests", f"too many {kind.value}"))
    seconds = max(1, ceil(wait))
    detail = f"{words}: nothing was done; try again in {seconds} seconds"
    return TooMany(code, detail, retry_after=timedelta(seconds=seconds), limit=rate.times)


def _limits_away() -> Unavailable:
    return Unavailable("limits_away", "it cannot be told whether this is too much; try again later")


def _database_away() -> Unavailable:
    return Unavailable("database_away", "the database cannot be reached; try again later")
