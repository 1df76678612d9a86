"""What a check of `ordersaga doctor` says, and the checks of API, Temporal, worker and settings."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import httpx
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.namespace import REFUSALS, missing_in_queries
from commandline.configuration import Configuration
from commandline.credentials import MEND, credential_for
from commandline.places import Place
from workflows.order import search_attributes

PATIENCE = 5.0  # seconds for one question
POLL_LIFE = 75.0  # seconds: a living worker asks again once a minute; a dead one is still listed for five


class State(StrEnum):
    OK = "ok"
    WARN = "warn"  # works, but should not stay so
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """What was found, and the mend where it is not as it should be."""

    name: str
    state: State
    found: str
    mend: str = ""


Question = Callable[[], Awaitable[list[Check]]]


def ok(name: str, found: str) -> list[Check]:
    return [Check(name, State.OK, found)]


def warn(name: str, found: str, mend: str) -> list[Check]:
    return [Check(name, State.WARN, found, mend)]


def fail(name: str, found: str, mend: str) -> list[Check]:
    return [Check(name, State.FAIL, found, mend)]


async def check_api(place: Place) -> list[Check]:
    mend = f"start it (`make up`), or name it with --api or ORDERSAGA_API_URL; this address comes from {place.source}"
    try:
        async with httpx.AsyncClient(base_url=place.url, timeout=PATIENCE, trust_env=not place.is_local) as http:
            answer = await http.get("/readyz")
    except httpx.HTTPError as error:
        return fail("API", f"{place.url} cannot be reached ({type(error).__name__})", mend)
    try:
        said = answer.json()
        if answer.status_code == 200 and said["postgresql"] == said["temporal"] == "ok":
            return ok("API", f"{place.url} is ready")
        if answer.status_code == 503:
            return fail("API", f"{place.url} is not ready: {said['detail']}", "mend what it cannot reach, see below")
    except (ValueError, KeyError, TypeError):
        pass
    return fail("API", f"{place.url} answers {answer.status_code}, but not as the API does", mend)


async def check_brake(place: Place) -> list[Check]:
    try:
        local, who = place.is_local, credential_for(place)
        async with httpx.AsyncClient(base_url=place.url, timeout=PATIENCE, trust_env=not local, auth=who) as http:
            answer = await http.get("/api/brake")
        if answer.status_code in (401, 403):
            return warn("Brake", f"the API does not tell: {answer.json()['detail']}", MEND)
        said = answer.raise_for_status().json()
        if said["on"]:
            mend = 'mend it, then `ordersaga brake release --note "what was mended"`'
            return fail("Brake", f"on: {said['why']}; {said['held']} orders wait", mend)
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return warn("Brake", "the API does not say whether it is on", "look at the check of the API")
    return ok("Brake", "off")


async def check_temporal(configuration: Configuration) -> list[Check]:
    """Address, namespace, search attributes and worker: each needs the one before it."""
    address = configuration.settings.temporal_address
    mend = "start it (`make up`), or set TEMPORAL_ADDRESS (and TEMPORAL_API_KEY, TEMPORAL_TLS* where it needs them)"
    try:
        client = await configuration.connect()
    except (RuntimeError, RPCError) as error:
        return fail("Temporal", f"{address} cannot be reached: {_first_line(error)}", mend)
    namespace = configuration.settings.temporal_namespace
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace), timeout=_TIME)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            mend = f"temporal operator namespace create --namespace {namespace}, or set TEMPORAL_NAMESPACE"
            return fail("Temporal", f"{address} has no namespace {namespace!r}", mend)
        return fail("Temporal", f"{address} refuses the namespace {namespace!r}: {error.status.name}", mend)
    attributes = await _check_search_attributes(client)
    worker = await check_worker(client, configuration.settings.task_queue)
    return [*ok("Temporal", f"{address}, namespace {namespace}"), *attributes, *worker]


_TIME = timedelta(seconds=PATIENCE)
_KINDS = {  # the names that `temporal operator search-attribute create --type` takes
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
    "Bool": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
}


async def _check_search_attributes(client: Client) -> list[Check]:
    name = "Search attributes"
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = (await client.operator_service.list_search_attributes(request, timeout=_TIME)).custom_attributes
    except RPCError as error:
        return await _check_by_queries(client, error)
    wanted = {key.name: _kind(key.indexed_value_type) for key in search_attributes.ALL}
    missing = [attribute for attribute in wanted if attribute not in known]
    wrong = [
        attribute for attribute in wanted if attribute in known and known[attribute] != _KINDS[wanted[attribute]]
    ]
    if missing:
        create = " ".join(f"--name {attribute} --type {wanted[attribute]}" for attribute in missing)
        mend = f"temporal operator search-attribute create --namespace {client.namespace} {create}"
        return fail(name, f"the namespace lacks {', '.join(missing)}", mend)
    if wrong:
        mend = "; ".join(f"{attribute} must be {wanted[attribute]}" for attribute in wrong)
        return fail(name, f"of another type than the service writes: {', '.join(wrong)}", mend)
    return ok(name, ", ".join(wanted))


async def _check_by_queries(client: Client, refusal: RPCError) -> list[Check]:
    """Temporal Cloud lists no attributes, but its queries know them."""
    name, wanted = "Search attributes", [key.name for key in search_attributes.ALL]
    try:
        missing = await missing_in_queries(client, wanted) if refusal.status in REFUSALS else None
    except RPCError:
        missing = None
    if missing is None:
        return warn(
            name, f"cannot be listed: {refusal.status.name}", "ask whoever runs the cluster whether they exist"
        )
    if missing:
        create = "create them where the namespace is managed; in Temporal Cloud by its console or `tcld`"
        return fail(name, f"the namespace lacks {', '.join(missing)}", create)
    return ok(name, ", ".join(wanted))


def _kind(metric: int) -> str:
    return next(name for name, value in _KINDS.items() if value == metric)


async def check_worker(client: Client, task_queue: str) -> list[Check]:
    mend = f"start one (`python worker.py`, or `make up`) with ORDERSAGA_TASK_QUEUE={task_queue}"
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request, timeout=_TIME)
    except RPCError as error:
        return fail("Worker", f"the task queue {task_queue!r} cannot be looked at: {error.status.name}", mend)
    asked = {poller.identity: poller.last_access_time.ToMicroseconds() / 1e6 for poller in answer.pollers}
    if not asked:
        return fail("Worker", f"nobody works on the task queue {task_queue!r}", mend)
    age = time.time() - max(asked.values())
    if age > POLL_LIFE:
        return fail("Worker", f"the last worker on {task_queue!r} asked for work {age:.0f} s ago", mend)
    count = sum(time.time() - at <= POLL_LIFE for at in asked.values())
    return ok("Worker", f"{count} on the task queue {task_queue!r}, the last asked for work {max(age, 0):.0f} s ago")


def _first_line(error: Exception) -> str:
    """Of the SDK's words the beginning: what follows is the inside of its transport."""
    line = (str(error) or type(error).__name__).splitlines()[0]
    return line.partition(": tonic::")[0][:200]
