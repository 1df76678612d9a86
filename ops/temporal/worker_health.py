"""The health check of a worker's container: `python -m ops.temporal.worker_health` exits with 0 or 1.

It asks the worker's own health page, and then Temporal whether the worker of this host asks for orders. With `--live`
it asks only whether the worker has to be started again, which an outage of PostgreSQL or Temporal is no reason for.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from adapters.settings import Settings
from adapters.telemetry.health_page import url_of
from adapters.temporal import client as temporal

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


async def page_says_ok(settings: Settings, path: str) -> bool:
    """Whether the worker's own page answers 200; a page that is turned off is no bad sign."""
    if (url := url_of(settings.worker_health_host, settings.worker_health_port)) is None:
        return True
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return (await http.get(f"{url}{path}")).status_code == 200


async def trouble(settings: Settings, live: bool) -> str | None:
    """What is wrong, in words; None for a healthy worker."""
    if not await page_says_ok(settings, "/healthz"):
        return "attempts of the worker hang"
    if live:
        return None
    if not await page_says_ok(settings, "/readyz"):
        return "the worker cannot reach PostgreSQL or Temporal"
    if not await asks_for_orders(settings, socket.gethostname()):
        return f"no worker of this host has asked for orders within {FRESH:.0f} s"
    return None


def main(arguments: list[str]) -> int:
    try:
        found = asyncio.run(asyncio.wait_for(trouble(Settings(), "--live" in arguments), PATIENCE))
    except Exception as error:
        found = f"cannot ask: {type(error).__name__}"
    if found:
        sys.stderr.write(f"{found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # the SDK's native threads may abort while the interpreter goes down (temporalio/sdk-python#300)
