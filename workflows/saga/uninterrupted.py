"""Runs a process to its end although Temporal is asked to cancel it: the request is a wish like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import CancelledError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.saga.cancel_desk import CancelDesk

End = TypeVar("End")


async def to_the_end(process: Coroutine[Any, Any, End], cancels: CancelDesk[Any], canceled: End) -> End:
    """The end of `process`, once everyone who asked something has an answer.

    Raises CancelledError, which closes the workflow as canceled, if that was asked for natively and the process
    ended `canceled`.
    """
    end = await _uninterrupted(_answered(process, cancels), cancels.ask_natively)
    if end == canceled and workflow.cancellation_reason() is not None:
        raise CancelledError("canceled on request; everything is undone")
    return end


async def _answered(process: Coroutine[Any, Any, End], cancels: CancelDesk[Any]) -> End:
    end = await process
    await cancels.answer_all()
    return end


async def _uninterrupted(process: Coroutine[Any, Any, End], asked: Callable[[str], None]) -> End:
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
        raise RuntimeError("no step expects this: the task waits for a fix, the process stays open") from error
