"""The attempts that a worker carries out now, and which of them should have ended long ago.

An attempt that waits for something that never comes keeps its slot. Every wait of ours has an end, and the end of an
attempt's time cancels it; what is still there some time later has to be a wait that nobody thought of.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


@dataclass(frozen=True, eq=False)
class Attempt:
    """One that has not ended; `until` is when it should have, on the clock of `Attempts`."""

    step: str
    workflow_id: str | None
    number: int
    until: float

    def __str__(self) -> str:
        return f"{self.step} of {self.workflow_id}, attempt {self.number}"


class Attempts(Interceptor):
    """Knows every attempt from its beginning to its end. Must be the outermost, so that it sees the whole of it.

    `margin` is what an attempt may take to end after its time: to close a connection, for example.
    """

    def __init__(self, margin: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._margin, self._clock = margin.total_seconds(), clock
        self._running: set[Attempt] = set()

    @property
    def count(self) -> int:
        """How many attempts the worker carries out now."""
        return len(self._running)

    def overdue(self) -> list[Attempt]:
        """Those whose time ended longer ago than the margin, the oldest first."""
        now = self._clock()
        return sorted((one for one in self._running if one.until < now), key=lambda one: one.until)

    def began(self, info: activity.Info) -> Attempt:
        """Keeps the attempt until `ended`."""
        until = self._clock() + time_of(info).total_seconds() + self._margin
        attempt = Attempt(info.activity_type, info.workflow_id, info.attempt, until)
        self._running.add(attempt)
        return attempt

    def ended(self, attempt: Attempt) -> None:
        """Forgets the attempt, however it ended."""
        self._running.discard(attempt)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Called by the SDK for each attempt."""
        return _Tracked(next, self)


class _Tracked(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, attempts: Attempts) -> None:
        super().__init__(next)
        self._attempts = attempts

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        attempt = self._attempts.began(activity.info())
        try:
            return await super().execute_activity(input)
        finally:
            self._attempts.ended(attempt)


def time_of(info: activity.Info) -> timedelta:
    """How long one attempt may take: its own time, and no longer than what is left to all attempts of the step.

    The server asks for one of the two timeouts at least. It gives an attempt up when either has passed, and the step
    may begin anew then: an attempt that went on would run beside the new one.
    """
    own, all_of_them = info.start_to_close_timeout, info.schedule_to_close_timeout
    left = all_of_them - (info.started_time - info.scheduled_time) if all_of_them else timedelta.max
    return min(own or timedelta.max, max(left, timedelta(0)))
