"""Signs of life of every attempt that takes longer than a moment, so that a dead worker's step is soon another's.

A worker that heartbeats is told of cancels, and the SDK then cancels the attempt. Here it is left to finish: its
outcome would be unknown, and the saga undoes only what has ended (`WAIT_CANCELLATION_COMPLETED`). Only the end of the
attempt's own time interrupts it: the server has given up waiting for its answer by then, and it would keep its slot.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.interceptors.attempts import time_of
from domain.errors import TryAgain

INTERVAL = timedelta(seconds=1.5)
GRACE = timedelta(seconds=10)

log = structlog.get_logger(__name__)


class Heartbeats(Interceptor):
    """For activities that have a heartbeat timeout; others send none, and the SDK itself cancels them in time.

    `grace` is the time that a stopping worker gives its attempts.
    """

    def __init__(self, every: timedelta = INTERVAL, grace: timedelta = GRACE) -> None:
        self._every, self._grace = every, grace

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Called by the SDK for each attempt."""
        return _Beating(next, self._every.total_seconds(), self._grace.total_seconds())


class _Beating(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, seconds: float, grace: float) -> None:
        super().__init__(next)
        self._seconds, self._grace = seconds, grace

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.is_local or not info.heartbeat_timeout:
            return await super().execute_activity(input)
        clock = asyncio.get_running_loop().time
        attempt = asyncio.ensure_future(super().execute_activity(input))
        end = clock() + time_of(info).total_seconds()
        await self._accompany(attempt, end)
        try:
            return await attempt
        except asyncio.CancelledError:
            if clock() < end:
                raise
            log.warning("attempt interrupted at the end of its time", seconds=time_of(info).total_seconds())
            raise TryAgain("the attempt did not end in its time") from None

    async def _accompany(self, attempt: asyncio.Future[Any], end: float) -> None:
        """Beats until the attempt has ended, or has been canceled."""
        clock = asyncio.get_running_loop().time
        ignored = False
        while not attempt.done():
            try:
                ended, _ = await asyncio.wait({attempt}, timeout=min(self._seconds, max(end - clock(), 0)))
                if ended:
                    return
                if clock() >= end:  # by its own clock: the server may be out of reach, and tells of it seconds later
                    attempt.cancel()
                    return
                activity.heartbeat()
                if ignored and activity.is_worker_shutdown():  # the SDK cancels an attempt only once
                    await asyncio.wait({attempt}, timeout=self._grace)
                    attempt.cancel()
                    return
            except asyncio.CancelledError:
                if _has_to_end():
                    attempt.cancel()
                    return
                ignored = True


def _has_to_end() -> bool:
    """Whether the attempt's time has ended, or that of a stopping worker; anything else is no reason to break off.

    A server that does not know the attempt any more (`not_found`) may have timed it out, but may as well have ended
    its workflow: an outcome that is known is worth the rest of the attempt's time.
    """
    details = activity.cancellation_details()
    return details is None or details.worker_shutdown or details.timed_out
