"""Calls a person when a step that may not fail does not succeed, and carries out what the person decides.

A step that is done at once needs no timer. In a lean saga the server ends one that takes long, which no history event
announces, and only the same step begun anew is watched by a timer (docs/decisions/0025-fewer-events.md). Other sagas
have one timer that watches all their steps, one after the other (docs/decisions/0005-one-watch-timer.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityConfig, ActivityHandle

with workflow.unsafe.imports_passed_through():
    from domain.repairs import STEP_KEEPS_FAILING, RepairDecision, Resolution, ResolutionAnswer
    from workflows.saga import policies
    from workflows.saga.steps import ran_out_of_time
    from workflows.saga.tickets import TicketDesk

Result = TypeVar("Result")


class Watch:
    """Opens a ticket when a step takes too long, and closes it when the step has succeeded.

    `settled` has, by step, what an operator has decided for good (everything but a retry); `decisions` counts all
    that operators have decided.
    """

    def __init__(self, tickets: TicketDesk, *, lean: bool = False) -> None:
        self._tickets = tickets
        self._lean = lean
        self._step: str | None = None
        self._since = workflow.now()
        self._late: dict[str, datetime] = {}  # the steps whose first minutes have passed, and when each began
        self._timed = True
        self._turn = 0
        self._timer: asyncio.Task[None] | None = None
        self._called: dict[str, set[str]] = {}  # the steps that a person was called about, and why
        self._desk = asyncio.Lock()
        self._running: ActivityHandle[Any] | None = None
        self._stopped: ActivityHandle[Any] | None = None
        self._deciding = 0
        self.decisions = 0
        self.settled: dict[str, RepairDecision] = {}

    def limits(self, step: str) -> ActivityConfig:
        """With which the step's activity is to be started: a lean saga's timer in the step's first minutes."""
        if not self._lean or step in self._late:
            return ActivityConfig()
        return ActivityConfig(schedule_to_close_timeout=policies.ATTENTION_AFTER)

    async def attend(self, step: str, running: ActivityHandle[Result]) -> Result:
        """Awaits a step's activity; after `policies.ATTENTION_AFTER` a person is called while it goes on.

        Raises what the activity raises; one that ended by its `limits` is to be begun again (`is_late`).
        """
        self._timed = not self.limits(step)
        self._turn, self._step, self._since = self._turn + 1, step, self._late.pop(step, workflow.now())
        self._running = running
        if self._timed and (self._timer is None or self._timer.done()):
            self._timer = asyncio.create_task(self._keep_watch())
        try:
            result = await running
        except ActivityError as error:
            if not self._timed and ran_out_of_time(error):
                self._late[step] = self._since
            raise
        finally:
            self._step = self._running = None
        await self.dismiss(step)
        return result

    def is_late(self, step: str) -> bool:
        """Whether the step was ended because its first minutes have passed: it has not failed."""
        return step in self._late

    @property
    def in_first_minutes(self) -> bool:
        """Whether a step runs that is expected to be done at once."""
        return self._running is not None and not self._timed

    async def _keep_watch(self) -> None:
        """Ends when it finds no step to watch: the next one starts it again."""
        while self._timed and self._step is not None:
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
