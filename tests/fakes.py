"""Faults inside the worker: a step that is held, fails, or whose worker dies, at an exact point."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class StepFaults(Interceptor):
    """Wraps every activity of a worker. `calls` names each attempt that began, `finished` each that succeeded."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.finished: list[str] = []
        self._holds: dict[str, asyncio.Event] = {}
        self._arrived: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._before: dict[str, list[Exception]] = defaultdict(list)
        self._after: dict[str, list[Exception]] = defaultdict(list)

    def hold(self, step: str) -> None:
        """The step's next attempts that are not to fail wait before they begin, until `release`."""
        self._holds[step] = asyncio.Event()

    def release(self, step: str) -> None:
        self._holds.pop(step).set()

    async def arrived(self, step: str) -> None:
        """Comes back when an attempt of the step that is not to fail has begun."""
        await asyncio.wait_for(self._arrived[step].wait(), 60)

    def fail(self, step: str, error: Exception, times: int = 1, *, after: bool = False) -> None:
        """The step's next attempts raise: before the effect, or after it (its answer is lost)."""
        (self._after if after else self._before)[step].extend([error] * times)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Faulty(next, self)

    async def pass_through(self, step: str, run: Any) -> Any:
        self.calls.append(step)
        if self._before[step]:
            raise self._before[step].pop()
        self._arrived[step].set()
        if (held := self._holds.get(step)) is not None:
            await held.wait()
        result = await run()
        if self._after[step]:
            raise self._after[step].pop()
        self.finished.append(step)
        return result


class _Faulty(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, faults: StepFaults) -> None:
        super().__init__(next)
        self._faults = faults

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        step = activity.info().activity_type
        return await self._faults.pass_through(step, lambda: super(_Faulty, self).execute_activity(input))
