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


class Heartbeats(Interceptor):
    """For activities that have a heartbeat timeout; short attempts send none."""

    def __init__(self, every: timedelta = INTERVAL) -> None:
        self._every = every

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Beating(next, self._every.total_seconds())


class _Beating(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, seconds: float) -> None:
        super().__init__(next)
        self._seconds = seconds

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if activity.info().is_local or not activity.info().heartbeat_timeout:
            return await super().execute_activity(input)
        attempt = asyncio.ensure_future(super().execute_activity(input))
        while not attempt.done():
            try:
                ended, _ = await asyncio.wait({attempt}, timeout=self._seconds)
                if not ended:
                    activity.heartbeat()
            except asyncio.CancelledError:
                if _worker_stops():
                    attempt.cancel()
                    break
        return await attempt


def _worker_stops() -> bool:
    """Whether the time that a stopping worker gives its attempts is over; anything else is no reason to break off."""
    details = activity.cancellation_details()
    return details is None or details.worker_shutdown
