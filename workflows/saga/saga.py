"""Steps with their undos: what every saga needs, and nothing of what is being run.

A step's undo is registered *before* the step runs, because a step whose result is lost (a crash, a cancel in the same
workflow task) may have taken effect all the same. Undos run newest first, to the end, whatever arrives meanwhile.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError
from temporalio.workflow import ActivityConfig, ActivityHandle, LocalActivityConfig

with workflow.unsafe.imports_passed_through():
    from domain.errors import OUR_MISTAKES, Misconfigured
    from domain.repairs import STEP_KEEPS_FAILING, STEP_REFUSED
    from workflows.saga import policies
    from workflows.saga.steps import (
        Activity,
        StepFailed,
        failure_of,
        last_code,
        name_of,
        was_interrupted,
        was_refused,
    )
    from workflows.saga.tickets import TicketDesk
    from workflows.saga.undos import LongUndo, Undos
    from workflows.saga.watch import Watch

Result = TypeVar("Result")


class Brake(ABC):
    """What may hold a saga before it turns back."""

    @abstractmethod
    async def holds(self, saga: Saga, failed: StepFailed) -> bool:
        """Whether the failed step is to be tried again instead of turning back."""


async def _nobody_cancels() -> None:
    """The checkpoint of a saga that cannot be canceled."""


class Saga:
    """The undos of one process, and the ways in which its steps run.

    `argument` is what a step gets that is given nothing else. `summaries` says of each activity, by its name, what it
    does, for those who read the trace. `desk_name` is the step under which the repair desk knows all of this saga;
    without it each step has its own name there. `checkpoint` is awaited before and after every forward step, and
    raises when the saga is to turn back (a granted cancel). `retried` tells whether an activity that ended at an
    operator's decision is simply begun again. A `lean` saga writes fewer history events: workflows that began without
    it must go on without it.
    """

    def __init__(
        self,
        argument: Any,
        tickets: TicketDesk,
        summaries: Mapping[str, str],
        *,
        brake: Brake | None = None,
        desk_name: str | None = None,
        retried: Callable[[ActivityError], bool] = was_interrupted,
        lean: bool = False,
    ) -> None:
        self._argument = argument
        self._summaries = summaries
        self._brake = brake
        self._desk_name = desk_name
        self._retried = retried
        self._interruptible: ActivityHandle[Any] | None = None
        self._interrupted: ActivityHandle[Any] | None = None
        self._interrupts = 0
        self._lean = lean
        self._in_worker = False
        self.checkpoint: Callable[[], Awaitable[None]] = _nobody_cancels
        self.watch = Watch(tickets, lean=lean)
        self.undos = Undos()

    # forward

    async def local_first(self, step: Activity[Result], argument: Any = None, *, undo: Activity[Any]) -> Result:
        """One attempt inside the worker; on a timeout or a retryable error the same step as an ordinary activity.

        For the steps that a customer waits for. A business refusal is an answer: it is not run twice.
        Raises StepFailed, and whatever the checkpoint raises.
        """
        self.undos.register(undo)
        return await self._local_first(step, argument, policies.WITH_TIME_LIMIT, attended=False)

    async def step(
        self,
        step: Activity[Result],
        argument: Any = None,
        *,
        undo: Activity[Any] | None = None,
        attended: bool = True,
        short: bool = False,
    ) -> Result:
        """A step as an ordinary activity, retried without an end.

        `attended`: a person is called when it takes long, or when our own mistake stops it. `short`: it is soon done,
        so that a lean saga tries it inside the worker first.
        Raises StepFailed, and whatever the checkpoint raises.
        """
        if undo is not None:
            self.undos.register(undo)
        if not (short and self._lean):
            return await self._forward(step, argument, policies.WITHOUT_TIME_LIMIT, attended=attended)
        await self.checkpoint()
        return await self._local_first(step, argument, policies.WITHOUT_TIME_LIMIT, attended=attended)

    async def _local_first(
        self, step: Activity[Result], argument: Any, policy: ActivityConfig, *, attended: bool
    ) -> Result:
        try:
            result = await self._local_attempt(step, argument)
        except FailureError as error:  # a local activity's failure comes without the ActivityError around it
            if was_refused(error) and not (attended and last_code(error) in OUR_MISTAKES):
                await self.checkpoint()
                await self._give_up(failure_of(self._name(step), error))
            return await self._forward(step, argument, policy, attended=attended)
        await self.checkpoint()
        return result

    async def _local_attempt(self, step: Activity[Result], argument: Any) -> Result:
        if self._lean:
            await self.watch.no_decision_pending()
        options = policies.LOCAL_ATTEMPT | LocalActivityConfig(summary=self._summary(step))
        self._in_worker = True
        try:
            return await workflow.execute_local_activity_method(step, self._or_own(argument), **options)
        finally:
            self._in_worker = False

    @property
    def is_at_it(self) -> bool:
        """Whether a step runs that is expected to be done at once: a status in between lasts a moment."""
        return self._in_worker or self.watch.in_first_minutes

    async def _forward(
        self, step: Activity[Result], argument: Any, policy: ActivityConfig, *, attended: bool
    ) -> Result:
        """Runs until the step has succeeded or failed.

        Begins it again when a refused cancel or an operator has interrupted it, or when its time has passed because
        another system refused our key. An `attended` step that our own mistake stops waits for a person: what was
        promised by then is kept.
        """
        for pause in growing_pauses():
            await self.checkpoint()
            await self.watch.no_decision_pending()
            activity = self._start(step, argument, policy, attended=attended)
            self._interruptible = activity
            try:
                result = await (self.watch.attend(self._name(step), activity) if attended else activity)
            except ActivityError as error:
                stopped = self.watch.has_stopped(activity)
                await self._after_failure(self._name(step), error, pause, attended=attended, stopped=stopped)
            except asyncio.CancelledError:
                # The step ended in the very workflow task that brought the cancel: the SDK gives no result then.
                if self._interrupted is not activity and not self.watch.has_stopped(activity):
                    raise  # nobody asked: the worker is putting this workflow out of its memory
            else:
                await self.watch.dismiss(self._name(step))
                await self.checkpoint()
                return result
            finally:
                self._interruptible = None
        raise AssertionError("unreachable: the pauses never end")

    async def _after_failure(
        self, step: str, error: ActivityError, pause: timedelta, *, attended: bool, stopped: bool
    ) -> None:
        """Returns when the step is to be tried again. Raises StepFailed, and whatever the checkpoint raises.

        `stopped`: an operator's decision has ended the activity.
        """
        if was_interrupted(error):
            if not stopped:
                await self.watch.dismiss(step)
            return await self.checkpoint()
        if self.watch.is_late(step):
            return await self.checkpoint()
        code = last_code(error)
        if code == Misconfigured.code and workflow.patched("wait-for-key"):
            await self.watch.call_person(step, STEP_KEEPS_FAILING, "a far end refuses our key")
            return await self.checkpoint()
        if attended and code in OUR_MISTAKES and workflow.patched("wait-for-mended-mistake"):
            return await self._wait_for_person(failure_of(step, error), pause)
        await self.watch.dismiss(step)
        await self.checkpoint()
        return await self._give_up(failure_of(step, error))

    async def _wait_for_person(self, failed: StepFailed, pause: timedelta) -> None:
        """Opens a ticket and pauses; a cancel ends the pause as well: it is decided before anything goes on."""
        decisions, interrupts = self.watch.decisions, self._interrupts
        await self.watch.call_person(failed.step, STEP_REFUSED, f"{failed.code}: {failed.detail}")

        def canceled() -> bool:
            return self._interrupts != interrupts

        await self.watch.pause(decisions, pause, f"before trying again: {failed.step}", or_until=canceled)
        if canceled():
            await self.watch.dismiss(failed.step)

    async def _give_up(self, failed: StepFailed) -> None:
        """Raises `failed`, which turns the saga back; returns if the brake has held it: the step is tried again."""
        if self._brake is not None and await self._brake.holds(self, failed):
            return
        raise failed

    def interrupt(self) -> None:
        """Ends the waiting retry of the running forward step; an attempt that has started finishes."""
        self._interrupts += 1
        if self._interruptible is not None:
            self._interrupted, self._interruptible = self._interruptible, None
            self._interrupted.cancel()

    # back

    async def undo_all(self) -> None:
        """Runs every undo that is left, newest first, each until it is done."""
        while (undo := self.undos.next) is not None:
            await (undo.run() if isinstance(undo, LongUndo) else self.insist(undo))
            self.undos.forget(undo)

    # either way

    async def insist(
        self, activity: Activity[Result], argument: Any = None, *, attended: bool = True, short: bool = False
    ) -> Result:
        """Runs a step that may not fail until it succeeds; a person is called when it refuses to.

        `attended`: a person is also called when it takes long. `short`: as for `step`.
        """
        if short and self._lean:
            with suppress(FailureError):  # whatever it is, the ordinary activity shows it
                return await self._local_attempt(activity, argument)
        for pause in growing_pauses():
            decisions = self.watch.decisions
            try:
                return await self._until_done(activity, argument, attended=attended)
            except ActivityError as error:
                refusal = failure_of(self._name(activity), error)
                await self.watch.call_person(refusal.step, STEP_REFUSED, f"{refusal.code}: {refusal.detail}")
                await self.watch.pause(decisions, pause, f"before trying again: {self._summary(activity)}")
        raise AssertionError("unreachable: the pauses never end")

    async def _until_done(self, activity: Activity[Result], argument: Any, *, attended: bool) -> Result:
        """Leaves retries to the engine of Temporal; begins again at once when an operator has decided something."""
        while True:
            await self.watch.no_decision_pending()
            running = self._start(activity, argument, policies.UNTIL_DONE, attended=attended)
            try:
                if attended:
                    return await self.watch.attend(self._name(activity), running)
                result = await running
                await self.watch.dismiss(self._name(activity))
                return result
            except ActivityError as error:
                stopped = self.watch.has_stopped(running) and self._retried(error)
                if not (stopped or self.watch.is_late(self._name(activity))):
                    raise
            except asyncio.CancelledError:  # as in `_forward`
                if not self.watch.has_stopped(running):
                    raise

    def _start(
        self, activity: Activity[Result], argument: Any, policy: ActivityConfig, *, attended: bool
    ) -> ActivityHandle[Result]:
        limits = self.watch.limits(self._name(activity)) if attended else ActivityConfig()
        options = policy | limits | ActivityConfig(summary=self._summary(activity))
        return workflow.start_activity_method(activity, self._or_own(argument), **options)

    def _or_own(self, argument: Any) -> Any:
        return self._argument if argument is None else argument

    def _name(self, activity: Activity[Any]) -> str:
        return self._desk_name or name_of(activity)

    def _summary(self, activity: Activity[Any]) -> str:
        return self._summaries.get(name_of(activity), "")


def growing_pauses() -> Iterator[timedelta]:
    """Pauses between tries that wait for a person: without an end, and so long that a history stays short."""
    pause = policies.FIRST_SLOW_RETRY
    while True:
        yield pause
        pause = min(2 * pause, policies.LAST_SLOW_RETRY)
