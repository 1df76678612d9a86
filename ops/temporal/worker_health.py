"""The health check of a worker's container: `python -m ops.temporal.worker_health` exits with 0 or 1.

A worker listens on no port, so Temporal is asked whether the worker of this host asks for orders.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from adapters import temporal
from adapters.settings import Settings

FRESH = 90.0  # seconds; a poll that finds nothing lasts 60 and is then repeated
PATIENCE = 10.0  # seconds


async def asks_for_orders(settings: Settings, host: str) -> bool:
    """Whether a worker of `host` asked lately; Temporal lists one that died for minutes more."""
    client = await temporal.connect(settings)
    request = DescribeTaskQueueRequest(
        namespace=settings.temporal_namespace,
        task_queue=TaskQueue(name=settings.task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    pollers = (await client.workflow_service.describe_task_queue(request)).pollers
    asked = [
        poller.last_access_time.ToMicroseconds() / 1e6
        for poller in pollers
        if poller.identity.endswith(f"@{host}")  # the SDK calls a worker <process id>@<host name>
    ]
    return max(asked, default=0.0) > time.time() - FRESH


def main() -> int:
    try:
        healthy = asyncio.run(asyncio.wait_for(asks_for_orders(Settings(), socket.gethostname()), PATIENCE))
    except Exception as error:
        sys.stderr.write(f"cannot ask Temporal: {type(error).__name__}\n")
        return 1
    if not healthy:
        sys.stderr.write(f"no worker of this host has asked for orders within {FRESH:.0f} s\n")
    return 0 if healthy else 1


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # the SDK's native threads may abort while the interpreter goes down (temporalio/sdk-python#300)
