"""What it means when Temporal does not answer a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Unavailable

_ENGINE_AWAY = frozenset(
    [
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    ]
)

TAKES_NO_MORE = (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.FAILED_PRECONDITION)
"""Of a workflow: ten updates at a time, two thousand in all. A signal is still taken."""


class NoWorkflow(Exception):
    """No running workflow takes the call: there is none, or it ended before it answered."""


def engine_away() -> Unavailable:
    """The refusal of what only the engine can do, while it does not answer."""
    return Unavailable("engine_away", "orders cannot be carried on right now; try again later")


def is_engine_away(error: BaseException) -> bool:
    if isinstance(error, RPCError):
        # A connection that breaks in the middle of a call is UNKNOWN to the SDK.
        broken = error.status is RPCStatusCode.UNKNOWN and error.message == "transport error"
        return broken or error.status in _ENGINE_AWAY
    # A lazy client's first call connects, and says so with nothing more precise than this.
    return isinstance(error, RuntimeError) and str(error).startswith("Failed client connect")


@contextmanager
def engine_calls() -> Iterator[None]:
    """Raises Unavailable where Temporal is away; other errors pass."""
    try:
        yield
    except (RPCError, RuntimeError) as error:
        if is_engine_away(error):
            raise engine_away() from error
        raise


@contextmanager
def workflow_calls() -> Iterator[None]:
    """The same for calls to one workflow: raises NoWorkflow where no running one takes them."""
    try:
        with engine_calls():
            yield
    except (WorkflowUpdateFailedError, WorkflowAlreadyStartedError) as error:
        raise NoWorkflow from error
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NoWorkflow from error
