"""A deadline for every call to Temporal, also while a lazy client still connects.

A call without `rpc_timeout` ends after 30 s by the SDK's own default. But a lazy client connects within its first
call, and all calls wait for that, up to 30 s where packets vanish, whatever their `rpc_timeout` says (SDK 1.35).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from temporalio.client import (
    CancelWorkflowInput,
    CreateScheduleInput,
    DescribeScheduleInput,
    DescribeWorkflowInput,
    Interceptor,
    ListWorkflowsInput,
    OutboundInterceptor,
    ScheduleDescription,
    ScheduleHandle,
    SignalWorkflowInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    TerminateWorkflowInput,
    UpdateScheduleInput,
    WorkflowExecutionAsyncIterator,
    WorkflowExecutionDescription,
    WorkflowHandle,
    WorkflowUpdateHandle,
)
from temporalio.service import KeepAliveConfig, RPCError, RPCStatusCode

CALL = timedelta(seconds=10)  # for a call that says nothing else
CONNECTING = timedelta(seconds=5)  # that a call may take beyond its timeout: the SDK's own error is to come first

CONNECT_TIMEOUT = timedelta(seconds=5)  # for TCP
KEEP_ALIVE = KeepAliveConfig(interval_millis=15_000, timeout_millis=5_000)
"""How soon a connection that died in silence is given up, those of waiting workers too: in 20 s instead of 45.

A server refuses pings that come more often than every 10 s (`frontend.keepAliveMinTime`).
"""


class _Call(Protocol):
    rpc_timeout: timedelta | None


Input = TypeVar("Input", bound=_Call)
Result = TypeVar("Result")


class Deadlines(Interceptor):
    """For a client; calls that wait for a workflow's end or for its history are left as they are."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Bounded(next)


class _Bounded(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        return await _bounded(super().start_workflow, input)

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        await _bounded(super().cancel_workflow, input)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        await _bounded(super().terminate_workflow, input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        await _bounded(super().signal_workflow, input)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:
        return await _bounded(super().describe_workflow, input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        return await _bounded(super().start_workflow_update, input)

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> WorkflowUpdateHandle[Any]:
        return await _bounded(super().start_update_with_start_workflow, input)

    async def create_schedule(self, input: CreateScheduleInput) -> ScheduleHandle:
        return await _bounded(super().create_schedule, input)

    async def describe_schedule(self, input: DescribeScheduleInput) -> ScheduleDescription:
        return await _bounded(super().describe_schedule, input)

    async def update_schedule(self, input: UpdateScheduleInput) -> None:
        await _bounded(super().update_schedule, input)

    def list_workflows(self, input: ListWorkflowsInput) -> WorkflowExecutionAsyncIterator:
        input.rpc_timeout = input.rpc_timeout or CALL  # of each page
        return super().list_workflows(input)


async def _bounded(call: Callable[[Input], Awaitable[Result]], input: Input) -> Result:
    """Raises RPCError (DEADLINE_EXCEEDED) as the server would, also where it cannot be reached at all."""
    input.rpc_timeout = input.rpc_timeout or CALL
    try:
        async with asyncio.timeout((input.rpc_timeout + CONNECTING).total_seconds()):
            return await call(input)
    except TimeoutError:
        raise RPCError("no connection to Temporal in time", RPCStatusCode.DEADLINE_EXCEEDED, b"") from None
