"""Readiness probes: each asks a part in its own protocol, and takes every failure for 'not yet'."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import asyncpg

from devstack.stack import logins
from devstack.stack.ports import LOOPBACK
from devstack.stack.process import Launch, Probe

if TYPE_CHECKING:
    from temporalio.client import Client

PATIENCE = 2.0  # seconds for one question

# temporalio is imported by the probes that need it, when they need it: it takes half a second, which passes
# while the servers start.


def http_ok(port: int, path: str) -> Probe:
    """Ready when `GET path` on a loopback port answers 200."""

    async def probe(_: Launch) -> bool:
        try:
            return await asyncio.wait_for(_status_of(port, path), PATIENCE) == 200
        except (OSError, ValueError, IndexError, TimeoutError):
            return False

    return probe


async def _status_of(port: int, path: str) -> int:
    # By hand, since an HTTP client costs more to import and to build than the question takes.
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
        status_line = await reader.readline()
        await reader.read()
        return int(status_line.split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


def database_there(port: int, user: str, password: str, database: str) -> Probe:
    """Ready when the server takes connections and has the database and the logins, which it makes where they miss."""

    async def probe(_: Launch) -> bool:
        try:
            connection = await asyncpg.connect(
                host=LOOPBACK, port=port, user=user, password=password, database="postgres",
                ssl=False, timeout=PATIENCE,
            )  # fmt: skip
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await connection.execute(f'CREATE DATABASE "{database}"')
            await connection.execute(logins.statement(password))
            return True
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        finally:
            await connection.close()

    return probe


def namespace_there(address: str, namespace: str, attributes: Iterable[str]) -> Probe:
    """Ready when Temporal serves the namespace with the search attributes that orders carry."""
    wanted = set(attributes)

    async def probe(_: Launch) -> bool:
        if not await _accepts(address):
            return False
        from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
        from temporalio.client import Client
        from temporalio.service import RPCError

        try:
            client = await Client.connect(address, namespace=namespace)
            request = ListSearchAttributesRequest(namespace=namespace)
            answer = await client.operator_service.list_search_attributes(request)
        except (RPCError, RuntimeError):
            return False
        return wanted <= set(answer.custom_attributes)

    return probe


async def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        await writer.wait_closed()
    except OSError:
        return False
    return True


def worker_polls(connect: Callable[[], Awaitable["Client"]], task_queue: str, clocks_agree: bool) -> Probe:
    """Ready when a worker asks Temporal for workflow tasks of the queue.

    Temporal lists a dead worker's poller for minutes, so with a server on this machine (`clocks_agree`) only
    one that asked since this start counts; and only this process's own, which the SDK names by its pid.
    """

    async def probe(launch: Launch) -> bool:
        from temporalio.api.enums.v1 import TaskQueueType
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
        from temporalio.service import RPCError

        try:
            client = await connect()
            request = DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
            answer = await client.workflow_service.describe_task_queue(request)
        except (RPCError, RuntimeError):
            return False
        own = [poller for poller in answer.pollers if poller.identity.startswith(f"{launch.pid}@")]
        asked = (poller.last_access_time.ToMicroseconds() / 1e6 for poller in own)
        return any(at >= launch.at or not clocks_agree for at in asked)

    return probe
