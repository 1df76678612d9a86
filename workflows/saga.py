"""Steps with their undos: what every saga needs, and nothing of what an order is.

A step's undo is registered *before* the step runs, because a step whose result is lost (a crash, a cancel in the same
workflow task) may have taken effect all the same. Undos run newest first, to the end, whatever arrives meanwhile.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, RetryState, is_cancelled_exception
from temporalio.types import MethodAsyncSingleParam
from temporalio.workflow import ActivityConfig, ActivityHandle, LocalActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities.brake.brake import Brakes
    from domain.brake import EndsByOurFault
    from domain.commands import OrderRef
    from domain.errors import ENDS_BY_OUR_FAULT, OUR_MISTAKES, Misconfigured, OurFault
    from domain.repairs import STEP_KEEPS_FAILING, STEP_REFUSED
    from workflows import policies
    from workflows.watch import Watch

Result = TypeVar("Result")
Activity: TypeAlias = MethodAsyncSingleParam[Any, Any, Result]


class StepFailed(Exception):
    """A forward step that will not succeed: a business refusal, our own mistake, or its time is over."""

    def __init__(self, step: str, code: str, detail: str) -> None:
        super().__init__(f"{step}: {code}: {detail}")
        self.step, self.code, self.detail = step, code, detail


class LongUndo(ABC):
    """An undo that is more than one activity: it waits for a far end in between."""

    @abstractmethod
    async def run(self, saga: Saga) -> None:
        """Comes back when it is done."""


class Saga:
    """The undo stack of one order, and the ways in which a step runs.

    `checkpoint` is awaited after every forward step, and raises when the saga is to turn back (a granted cancel).
    `summaries` says of each step by its name what it does for the order, for those who read the trace.
    """

    def __init__(
        self, ref: OrderRef, checkpoint: Callable[[], Awaitable[None]], summaries: Mapping[str, str]
    ) -> None:
        self._ref = ref
        self._checkpoint = checkpoint
        self._summaries = summaries
        self.watch = Watch(ref.order_id)
        self._undos: list[Activity[Any] | LongUndo] = []
        self._last: list[Activity[Any] | LongUndo] = []
        self._interruptible: ActivityHandle[Any] | None = None
        self._interrupted: ActivityHandle[Any] | None = None
        self._interrupts = self._turns = 0

    # forward

    async def local_first(self, step: Activity[Result], argument: Any = None, *, undo: Activity[Any]) -> Result:
        """One attempt inside the worker; on a timeout or a retryable error the same step as an ordinary activity.

        For the steps that a customer waits for. A business refusal is an answer: it is not run twice.
        Raises StepFailed, and whatever the checkpoint raises.
        """
        if undo not in self._undos:
            self._undos.append(undo)
        try:
            options = policies.LOCAL_ATTEMPT | LocalActivityConfig(summary=self._words(step))
            result: Result = await workflow.execute_local_activity_method(step, argument or self._ref, **options)
        except FailureError as error:  # a local activity's failure comes without the ActivityError around it
            if _was_refused(error):
                await self._checkpoint()
                await self._give_up(_failure(step, error))
            return await self._forward(step, argument, policies.BEFORE_CONFIRMATION, attended=False)
        await self._checkpoint()
        return result

    async def step(
        self, step: Activity[Result], argument: Any = None, *, undo: Activity[Any] | None = None
    ) -> Result:
        """A step as an ordinary activity, retried without an end; a person is called when it takes long.

        Raises StepFailed, and whatever the checkpoint raises.
        """
        if undo is not None:
            self._undos.append(undo)
        return await self._forward(step, argument, policies.AFTER_CONFIRMATION, attended=True)

    async def _forward(
        self, step: Activity[Result], argument: Any, policy: ActivityConfig, *, attended: bool
    ) -> Result:
        """Runs until the step has succeeded or failed; begun again when a refused cancel interrupted it, or when its
        time is over and what held it up is a key of ours.

        An `attended` step that our own mistake stops waits for a person: its order is confirmed, and stays so.
        """
        for pause in slower_and_slower():
            await self._checkpoint()
            await self.watch.gate()
            handle = self._start(step, argument, policy)
            self._interruptible = handle
            try:
                result = await (self.watch.over(_name(step), handle) if attended else handle)
            except ActivityError as error:
                await self._after_failure(step, error, pause, attended=attended, prodded=self.watch.prodded(handle))
            except asyncio.CancelledError:
                # The step ended in the very workflow task that brought the cancel: the SDK gives no result then.
                if self._interrupted is not handle and not self.watch.prodded(handle):
                    raise  # nobody asked: the worker is putting this workflow out of its memory
            else:
                await self.watch.dismiss(_name(step))
                await self._checkpoint()
                return result
            finally:
                self._interruptible = None
        raise AssertionError("unreachable: the pauses never end")

    async def _after_failure(
        self, step: Activity[Any], error: ActivityError, pause: timedelta, *, attended: bool, prodded: bool
    ) -> None:
        """Comes back when the step is to be tried again. Raises StepFailed, and whatever the checkpoint raises."""
        if _was_interrupted(error):
            if not prodded:
                await self.watch.dismiss(_name(step))
            return await self._checkpoint()
        code = _last_code(error)
        if code == Misconfigured.code and workflow.patched("wait-for-key"):
            await self.watch.call_person(_name(step), STEP_KEEPS_FAILING, "a far end refuses our key")
            return await self._checkpoint()
        if attended and code in OUR_MISTAKES and workflow.patched("wait-for-mended-mistake"):
            return await self._wait_for_person(_failure(step, error), pause)
        await self.watch.dismiss(_name(step))
        await self._checkpoint()
        return await self._give_up(_failure(step, error))

    async def _wait_for_person(self, failed: StepFailed, pause: timedelta) -> None:
        """A ticket and a pause, which a cancel ends as well: it is decided before anything goes on."""
        nudges, interrupts = self.watch.nudges, self._interrupts
        await self.watch.call_person(failed.step, STEP_REFUSED, f"{failed.code}: {failed.detail}")

        def canceled() -> bool:
            return self._interrupts != interrupts

        await self.watch.pause(nudges, pause, f"before trying again: {failed.step}", or_until=canceled)
        if canceled():
            await self.watch.dismiss(failed.step)

    async def _give_up(self, failed: StepFailed) -> None:
        """Raises `failed`, which turns the order back; comes back if the brake has held it: the step is tried again.

        Only what is our own fault asks the brake: a customer's refusal is never held.
        """
        if failed.code in ENDS_BY_OUR_FAULT and workflow.patched("ask-the-brake"):
            self._turns += 1
            end = EndsByOurFault(order_id=self._ref.order_id, turn=self._turns, step=failed.step, code=failed.code)
            answer = await self._forward(Brakes.ask_brake, end, policies.AFTER_CONFIRMATION, attended=False)
            if answer.try_again:
                return
        raise failed

    def interrupt(self) -> None:
        """Ends the waiting retry of the running forward step; an attempt that was started finishes."""
        self._interrupts += 1
        if self._interruptible is not None:
            self._interrupted, self._interruptible = self._interruptible, None
            self._interrupted.cancel()

    # back

    def may_have_run(self, undo: Activity[Any]) -> bool:
        """Whether the step that `undo` belongs to was begun and not undone since."""
        return undo in self._undos

    def undo_first(self, undo: Activity[Any] | LongUndo) -> None:
        """Puts `undo` on top of the stack: it runs before all that is there."""
        self._undos.append(undo)

    def undo_last(self, undo: LongUndo) -> None:
        """Nothing waits for `undo`: it runs when everything else is undone."""
        self._last.append(undo)

    def undo_also(self, *undos: Activity[Any]) -> None:
        """Puts `undos` below all others, the last one to run first.

        For the steps of a first workflow task: they run inside the worker, so that a worker that dies takes all
        knowledge of them along, and what comes first in the next worker may be a cancel.
        """
        self._undos = [*undos, *(undo for undo in self._undos if undo not in undos)]

    def forget(self, undo: Activity[Any]) -> None:
        """Takes `undo` off the stack: it is done."""
        self._undos.remove(undo)

    async def undo_all(self) -> None:
        """Runs every undo that is left, newest first, each until it is done."""
        while stack := self._undos or self._last:
            undo = stack[-1]
            await (undo.run(self) if isinstance(undo, LongUndo) else self.insist(undo))
            stack.pop()

    async def insist(self, activity: Activity[Result], argument: Any = None) -> Result:
        """Runs `activity` until it succeeds; a person is called when it takes long or refuses to."""
        for pause in slower_and_slower():
            nudges = self.watch.nudges
            try:
                return await self._attempt(activity, argument)
            except ActivityError as error:
                refusal = _failure(activity, error)
                await self.watch.call_person(refusal.step, STEP_REFUSED, f"{refusal.code}: {refusal.detail}")
                await self.watch.pause(nudges, pause, f"before trying again: {self._words(activity)}")
        raise AssertionError("unreachable: the pauses never end")

    async def _attempt(self, activity: Activity[Result], argument: Any) -> Result:
        """With the engine's retries; when an operator decided something meanwhile, begun again at once."""
        while True:
            await self.watch.gate()
            handle = self._start(activity, argument, policies.UNTIL_DONE)
            try:
                return await self.watch.over(_name(activity), handle)
            except ActivityError as error:
                if not (self.watch.prodded(handle) and _was_interrupted(error)):
                    raise
            except asyncio.CancelledError:  # as in `_forward`
                if not self.watch.prodded(handle):
                    raise

    def _start(self, activity: Activity[Result], argument: Any, policy: ActivityConfig) -> ActivityHandle[Result]:
        return workflow.start_activity_method(
            activity, argument or self._ref, **(policy | ActivityConfig(summary=self._words(activity)))
        )

    def _words(self, activity: Activity[Any]) -> str:
        return self._summaries.get(_name(activity), "")


def slower_and_slower() -> Iterator[timedelta]:
    """Pauses between tries that wait for a person: without an end, but so that a history never grows too long."""
    pause = policies.FIRST_SLOW_RETRY
    while True:
        yield pause
        pause = min(2 * pause, policies.LAST_SLOW_RETRY)


def _name(activity: Activity[Any]) -> str:
    return str(activity.__name__)  # type: ignore[attr-defined]  # the SDK's protocol says no more than "callable"


def _was_refused(error: FailureError) -> bool:
    cause = _cause(error)
    return isinstance(cause, ApplicationError) and cause.non_retryable


def _was_interrupted(error: ActivityError) -> bool:
    """Whether a cancel ended the retries; else they ended because of a refusal or because time was up."""
    return is_cancelled_exception(error) or error.retry_state == RetryState.CANCEL_REQUESTED


def _last_code(error: FailureError) -> str | None:
    """What the last attempt said, also where the end of the step's time hides it."""
    cause = _cause(error)
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    return cause.type if cause is not None else None


def _failure(activity: Activity[Any], error: FailureError) -> StepFailed:
    cause = _cause(error)
    if isinstance(cause, ApplicationError) and cause.non_retryable:
        return StepFailed(_name(activity), cause.type or "error", cause.message)
    if _last_code(error) == OurFault.code:
        return StepFailed(_name(activity), OurFault.code, "a fault on our side was not mended in time")
    return StepFailed(_name(activity), "timed_out", "it did not succeed in the time that it had")


def _cause(error: FailureError) -> BaseException | None:
    return error.cause if isinstance(error, ActivityError) else error
