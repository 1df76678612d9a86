"""Workers that kill themselves at an exact point: `python -m tests.support.dying_worker QUEUE:STEP:MOMENT ...`.

MOMENT is `before` or `after` the effect of STEP's first attempt. Every worker is a process of its own, forked from
this one while it has no threads yet, since starting Python and importing the service would take most of the time.
When one has died, "died QUEUE CODE" is printed, where a negative CODE is the signal that killed it.
Settings come from the environment, the task queue from the argument.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from adapters.settings import Settings
from adapters.telemetry.logs import configure_logs
from adapters.temporal import client as temporal
from devstack.stack.launcher import tie_of
from worker import build_activities, build_worker


class Death(Interceptor):
    """Takes the whole process with it, as a kernel out of memory would."""

    def __init__(self, step: str, moment: str) -> None:
        self.step, self.moment = step, moment

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Dying(next, self)

    def strike(self, moment: str) -> None:
        if (activity.info().activity_type, moment) == (self.step, self.moment):
            os.kill(os.getpid(), signal.SIGKILL)


class _Dying(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, death: Death) -> None:
        super().__init__(next)
        self._death = death

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        self._death.strike("before")
        result = await super().execute_activity(input)
        self._death.strike("after")
        return result


async def work(queue: str, death: Death) -> None:
    settings = Settings().model_copy(update={"task_queue": queue, "database_pool_size": 3})
    client = await temporal.connect(settings)
    async with (
        build_activities(settings) as activities,
        build_worker(client, settings, activities, interceptors=[death]),
    ):
        await asyncio.Event().wait()


def fork(case: str) -> int:
    """The pid of a new process that works on the case's queue until it dies of it."""
    queue, step, moment = case.split(":")
    tie = tie_of(os.getpid(), signal.SIGKILL)
    pid = os.fork()
    if pid == 0:
        try:
            tie()
            asyncio.run(work(queue, Death(step, moment)))
        finally:
            os._exit(1)  # it did not die as it should
    return pid


def main(cases: list[str]) -> None:
    tie_of(os.getppid(), signal.SIGKILL)()
    configure_logs("error")
    queues = {fork(case): case.split(":")[0] for case in cases}
    for _ in cases:
        pid, status = os.wait()
        sys.stdout.write(f"died {queues[pid]} {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
