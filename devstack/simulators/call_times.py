"""How long a simulated far end takes for each call, and a journal of what it took.

Real far ends take hundreds of milliseconds, and a few calls take several times that. A lognormal distribution has
this shape, and two figures say which one: the median, and the value that one call in a hundred exceeds. Each
operation draws from a row of its own, so that a run is repeatable whatever else is called between; and of every
twenty times each comes from another twentieth of the distribution, so that a short run has its share of slow ones
(stratified sampling). The times live in memory: a simulator that was restarted answers at once.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from starlette.requests import Request

JOURNAL = 20_000  # calls
STRATA = 20
P99 = NormalDist().inv_cdf(0.99)  # of the standard normal distribution, in standard deviations


@dataclass(frozen=True)
class CallTimes:
    """A lognormal distribution by its median and its 99th percentile, both in seconds."""

    median_seconds: float
    p99_seconds: float
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.median_seconds <= self.p99_seconds:
            raise ValueError("give 0 < median_seconds <= p99_seconds")

    def row(self, operation: str) -> Iterator[float]:
        """The times of an operation's calls, in seconds, without an end."""
        source = random.Random(f"{self.seed} {operation}")
        spread = math.log(self.p99_seconds / self.median_seconds) / P99
        while True:
            for stratum in source.sample(range(STRATA), STRATA):
                share = (stratum + source.uniform(0.001, 0.999)) / STRATA
                yield self.median_seconds * math.exp(spread * NormalDist().inv_cdf(share))


@dataclass(frozen=True)
class Call:
    """One call as it was.

    `about` is its idempotency key or the object that it names, `connection` the client's port: a new one for each
    connection. `began` is Unix time.
    """

    operation: str
    about: str
    connection: int
    began: float
    seconds: float


class CallClock:
    """Holds each call up for a time that is drawn when it arrives, and remembers the last calls."""

    def __init__(self, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._times: CallTimes | None = None
        self._rows: dict[str, Iterator[float]] = {}
        self._calls: deque[Call] = deque(maxlen=JOURNAL)

    def set(self, times: CallTimes | None) -> None:
        """From now on; None answers at once. The journal begins anew."""
        self._times = times
        self._rows.clear()
        self._calls.clear()

    async def take(self, operation: str, about: str, request: Request) -> None:
        """Comes back when the far end has worked for its time; what the call does is done then."""
        drawn = self._draw(operation, self._times) if self._times else 0.0
        connection = request.client.port if request.client else 0
        self._calls.append(Call(operation, about, connection, time.time(), drawn))
        if drawn:
            await self._sleep(drawn)

    def _draw(self, operation: str, times: CallTimes) -> float:
        return next(self._rows.setdefault(operation, times.row(operation)))

    def state(self) -> dict[str, Any]:
        return {"times": self._times and asdict(self._times), "calls": [asdict(call) for call in self._calls]}
