"""What a step is (an activity, by reference), and how one can fail."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    RetryState,
    TimeoutError,
    is_cancelled_exception,
)
from temporalio.types import MethodAsyncSingleParam

with workflow.unsafe.imports_passed_through():
    from domain.errors import OurFault

Result = TypeVar("Result")
Activity: TypeAlias = MethodAsyncSingleParam[Any, Any, Result]


class StepFailed(Exception):
    """A forward step that will not succeed: a business refusal, our own mistake, or its time has passed.

    `step` is the activity's name, `code` the stable code of the error, `detail` a sentence for people.
    """

    def __init__(self, step: str, code: str, detail: str) -> None:
        super().__init__(f"{step}: {code}: {detail}")
        self.step, self.code, self.detail = step, code, detail


def name_of(activity: Activity[Any]) -> str:
    """The name under which histories have the activity."""
    return str(activity.__name__)  # type: ignore[attr-defined]  # the SDK's protocol says no more than "callable"


def was_refused(error: FailureError) -> bool:
    """Whether the activity has refused for good: trying again would not help."""
    cause = _cause(error)
    return isinstance(cause, ApplicationError) and cause.non_retryable


def was_interrupted(error: ActivityError) -> bool:
    """Whether a cancel ended the retries; else a refusal or the end of the step's time has ended them."""
    return is_cancelled_exception(error) or error.retry_state == RetryState.CANCEL_REQUESTED


def ran_out_of_time(error: ActivityError) -> bool:
    """Whether the step's own time has ended, or would have ended before the next try."""
    return error.retry_state == RetryState.TIMEOUT or isinstance(error.cause, TimeoutError)


def last_code(error: FailureError) -> str | None:
    """The code of the last attempt's error, also where a timeout hides it; None if no attempt has raised one."""
    cause = _cause(error)
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    return cause.type if cause is not None else None


def failure_of(step: str, error: FailureError) -> StepFailed:
    """The error of `step` as the rest of the workflow reads it: the code `timed_out` if it was no refusal."""
    cause = _cause(error)
    if isinstance(cause, ApplicationError) and cause.non_retryable:
        return StepFailed(step, cause.type or "error", cause.message)
    if last_code(error) == OurFault.code:
        return StepFailed(step, OurFault.code, "a fault on our side was not mended in time")
    return StepFailed(step, "timed_out", "it did not succeed in the time that it had")


def _cause(error: FailureError) -> BaseException | None:
    return error.cause if isinstance(error, ActivityError) else error
