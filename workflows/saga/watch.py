"""Calls a person when a step that may not fail does not succeed, and carries out what the person decides.

One timer watches all steps of a saga, one after the other, instead of one each: a trace stays readable, and a saga
that runs through pays for a single timer (docs/decisions/0005-one-watch-timer.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.workflow import ActivityHandle

with workflow.unsafe.imports_passed_through():
    from domain.repairs import STEP_KEEPS_FAILING, RepairDecision, Resolution, ResolutionAnswer
    from workflows.saga import policies
    from workflows.saga.tickets import TicketDesk

Result = TypeVar("Result")


class Watch:
    """Opens a ticket when a step takes too long, and closes it when the step has succeeded.

    `settled` has, by step, what an operator has decided for good (everything but a retry); `decisions` counts all
    that operators have decided.
    """

    def __init__(self, tickets: TicketDesk) -> None:
        self._tickets = tickets
        self._step: str | None = None
        self._since = workflow.now()
        self._turn = 0
        self._timer: asyncio.Task[None] | None = None
        self._called: dict[str, set[str]] = {}  # the steps that a person was called about, and why
        self._desk = asyncio.Lock()
        self._running: ActivityHandle[Any] | None = None
        self._stopped: ActivityHandle[Any] | None = None
        self._deciding = 0
        self.decisions = 0
        self.settled: dict[str, RepairDecision] = {}

    async def attend(self, step: str, running: ActivityHandle[Result]) -> Result:
        """Awaits a step's activity; after `policies.ATTENTION_AFTER` a person is called while it goes on.

        Raises what the activity raises.
        """
        self._turn, self._step, self._since = self._turn + 1, step, workflow.now()
        self._running = running
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._keep_watch())
        try:
            result = await running
        finally:
            self._step = self._running = None
        await self.dismiss(step)
        return result

    async def _keep_watch(self) -> None:
        """Ends when it finds no step running: the next step starts it again."""
        while self._step is not None:
            turn, left = self._turn, self._since + policies.ATTENTION_AFTER - workflow.now()
            if left > timedelta(0):
                await workflow.sleep(left, summary="call a person if a step takes too long")
            else:
                why = "still retried; its pending activity shows the last error"
                called = await self.call_person(self._step, STEP_KEEPS_FAILING, why)
                ended = lambda turn=turn: self._turn != turn or self._step is None  # noqa: E731
                with suppress(TimeoutError):
                    patience = None if called else policies.LOOK_AGAIN_AFTER
                    await workflow.wait_condition(ended, timeout=patience, timeout_summary="does it still wait?")

    async def call_person(self, step: str, kind: str, detail: str) -> bool:
        """Opens a ticket of this kind, unless the step has one; False where nobody is needed yet."""
        async with self._desk:
            if kind in self._called.setdefault(step, set()):
                return True
            self._called[step].add(kind)
            if not await self._tickets.open(step, kind, detail):
                self._forget(step, kind)
                return False
            self._tickets.flag(True)
            return True

    def _forget(self, step: str, kind: str) -> None:
        self._called[step].discard(kind)
        if not self._called[step]:
            del self._called[step]

    async def dismiss(self, step: str) -> None:
        """Closes the step's tickets, if it has any: nobody is needed any more."""
        if step not in self._called:
            return
        async with self._desk:
            self._called.pop(step, None)
            await self._tickets.close(step)
            self._tickets.flag(bool(self._called))

    # what the person decides

    async def resolve(self, wanted: Resolution) -> ResolutionAnswer:
        """Carries out a decision once no attempt is under way: the attempt may succeed by itself."""
        self._deciding += 1
        try:
            self._end_waiting_retry()
            while self._running is not None:
                await workflow.wait_condition(lambda: self._running is None)
            async with self._desk:
                return await self._settle(wanted)
        finally:
            self._deciding -= 1

    async def _settle(self, wanted: Resolution) -> ResolutionAnswer:
        update = workflow.current_update_info()
        key = update.id if update else str(workflow.uuid4())
        settled = await self._tickets.settle(key, wanted)
        if settled.answer.accepted:
            self.decisions += 1
            if wanted.decision is not RepairDecision.RETRY:
                self.settled[settled.step] = wanted.decision
                if settled.step not in settled.open_steps:
                    self._called.pop(settled.step, None)
                self._tickets.flag(bool(settled.open_steps))
        return settled.answer

    def _end_waiting_retry(self) -> None:
        """Ends the waiting retry of the running step; an attempt that has started finishes."""
        if self._running is not None:
            self._stopped = self._running
            self._stopped.cancel()

    def has_stopped(self, activity: ActivityHandle[Any]) -> bool:
        """Whether an operator's decision has ended the activity: it is begun again."""
        return self._stopped is activity

    async def no_decision_pending(self) -> None:
        """Returns when no decision is being written down: nothing is begun meanwhile."""
        while self._deciding:
            await workflow.wait_condition(lambda: not self._deciding)

    async def pause(
        self, decisions: int, time: timedelta, summary: str, *, or_until: Callable[[], bool] = lambda: False
    ) -> None:
        """Pauses between two tries; ends early when an operator has decided anything since `decisions` was read."""

        def has_news() -> bool:
            return self.decisions != decisions or or_until()

        if not has_news():
            try:
                await workflow.wait_condition(has_news, timeout=time, timeout_summary=summary)
            except TimeoutError:
                return
