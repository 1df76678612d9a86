"""Runs a process to its end although Temporal is asked to cancel it: the request is only noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

Result = TypeVar("Result")


async def to_the_end(process: Coroutine[Any, Any, Result], asked: Callable[[str], object]) -> Result:
    """The result of `process`; `asked` is called with the reason of each request to cancel the workflow.

    An error that the process does not expect fails the workflow task, not the workflow: it waits for a fix.
    """
    task = asyncio.create_task(process)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            reason = workflow.cancellation_reason()
            if reason is None:
                raise  # not a request: the worker is putting this workflow out of its memory
            asked(reason)
        except Exception:
            break
    try:
        return task.result()
    except (FailureError, asyncio.CancelledError) as error:
        raise RuntimeError("no step expects this: the task waits for a fix, the order stays open") from error
