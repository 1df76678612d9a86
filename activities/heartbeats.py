"""Signs of life of every attempt that takes longer than a moment, so that a dead worker's step is soon another's.

A worker that heartbeats is told of cancels, and the SDK then cancels the attempt. Here it is left to finish: its
outcome would be unknown, and the saga undoes only what has ended (`WAIT_CANCELLATION_COMPLETED`).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

INTERVAL = timedelta(seconds=1.5)
GRACE = timedelta(seconds=10)


class Heartbeats(Interceptor):
    """For activities that have a heartbeat timeout; short attempts send none.

    `grace` is the time that a stopping worker gives its attempts.
    """

    def __init__(self, every: timedelta = INTERVAL, grace: timedelta = GRACE) -> None:
        self._every, self._grace = every, grace

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Beating(next, self._every.total_seconds(), self._grace.total_seconds())


class _Beating(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, seconds: float, grace: float) -> None:
        super().__init__(next)
        self._seconds, self._grace = seconds, grace

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if activity.info().is_local or not activity.info().heartbeat_timeout:
            return await super().execute_activity(input)
        attempt = asyncio.ensure_future(super().execute_activity(input))
        ignored = False
        while not attempt.done():
            try:
                ended, _ = await asyncio.wait({attempt}, timeout=self._seconds)
                if ended:
                    break
                activity.heartbeat()
                if ignored and activity.is_worker_shutdown():  # the SDK cancels an attempt only once
                    await asyncio.wait({attempt}, timeout=self._grace)
                    attempt.cancel()
                    break
            except asyncio.CancelledError:
                if _worker_stops():
                    attempt.cancel()
                    break
                ignored = True
        return await attempt


def _worker_stops() -> bool:
    """Whether the time that a stopping worker gives its attempts is over; anything else is no reason to break off."""
    details = activity.cancellation_details()
    return details is None or details.worker_shutdown
