"""The worker's own program, but its local attempts of `reserve_inventory` wait for ever and ignore every cancel.

`python -m tests.support.hanging_worker`; settings come from the environment.
"""

from __future__ import annotations

import asyncio
import functools
import os
from contextlib import suppress
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

import worker


class Hanging(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Hanging(next)


class _Hanging(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        while info.activity_type == "reserve_inventory" and info.is_local:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return await super().execute_activity(input)


if __name__ == "__main__":
    worker.build_worker = functools.partial(worker.build_worker, interceptors=[Hanging()])
    os._exit(worker.main())
