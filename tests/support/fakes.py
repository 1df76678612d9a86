"""Faults inside the worker: a step that is held, fails, or whose worker dies, at an exact point."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import TryAgain


class StepFaults(Interceptor):
    """Wraps every activity of a worker.

    `calls` names each attempt that began, `ended` each that is over, `finished` each that succeeded.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ended: list[str] = []
        self.finished: list[str] = []
        self._holds: dict[str, asyncio.Event] = {}
        self._answers: dict[str, asyncio.Event] = {}
        self._abandoned: set[asyncio.Event] = set()
        self._hooks: dict[str, Callable[[], Awaitable[None]]] = {}
        self._arrived: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._before: dict[str, list[Exception]] = defaultdict(list)
        self._after: dict[str, list[Exception]] = defaultdict(list)

    def hold(self, step: str) -> None:
        """The step's next attempts that are not to fail wait before they begin, until `release`."""
        self._holds[step] = asyncio.Event()
        self._arrived.pop(step, None)

    def hold_answer(self, step: str) -> None:
        """The step's next attempts wait behind their effect, before their answer leaves, until `release`."""
        self._answers[step] = asyncio.Event()
        self._arrived.pop(step, None)

    def release(self, step: str) -> None:
        for held in (self._holds.pop(step, None), self._answers.pop(step, None)):
            if held is not None:
                held.set()

    def abandon(self, step: str) -> None:
        """As if the worker had died: the attempts that wait end without having begun."""
        held = self._holds.pop(step)
        self._abandoned.add(held)
        held.set()

    async def arrived(self, step: str) -> None:
        """Comes back when an attempt of the step that is not to fail has come to where it is held, or has begun."""
        await asyncio.wait_for(self._arrived[step].wait(), 60)

    def before(self, step: str, hook: Callable[[], Awaitable[None]]) -> None:
        """Runs `hook` before each of the step's attempts that are not to fail."""
        self._hooks[step] = hook

    def fail(self, step: str, error: Exception, times: int = 1, *, after: bool = False) -> None:
        """The step's next attempts raise: before the effect, or after it (its answer is lost)."""
        (self._after if after else self._before)[step].extend([error] * times)

    def let_wait(self, step: str, delay: timedelta = timedelta(hours=1), *, short: bool = False) -> None:
        """The attended step comes to wait for its next attempt: `short` for one that is first tried in the worker.

        The attempt of its first minutes ends with them, since the delay is longer: the next one waits.
        """
        self.fail(step, TryAgain("away", delay=delay), times=3 if short else 2)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Faulty(next, self)

    async def pass_through(self, step: str, run: Any) -> Any:
        self.calls.append(step)
        try:
            return await self._attempt(step, run)
        finally:
            self.ended.append(step)

    async def _attempt(self, step: str, run: Any) -> Any:
        if self._before[step]:
            raise self._before[step].pop()
        if step not in self._answers:
            self._arrived[step].set()
        if (hook := self._hooks.get(step)) is not None:
            await hook()
        if (held := self._holds.get(step)) is not None:
            await held.wait()
            if held in self._abandoned:
                raise RuntimeError(f"{step} was abandoned before it began")
        try:
            result = await run()
        finally:
            if (held := self._answers.get(step)) is not None:
                self._arrived[step].set()
                await held.wait()
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
