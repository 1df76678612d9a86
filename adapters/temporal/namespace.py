"""Whether a Temporal namespace has the search attributes that orders carry. It only looks, and changes no cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

PATIENCE = timedelta(seconds=10)  # for one call

REFUSALS = frozenset([RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.UNIMPLEMENTED])
"""How a server says that a call is not for us: Temporal Cloud keeps the operator service to itself."""

log = structlog.get_logger(__name__)


async def check_search_attributes(client: Client, wanted: Sequence[str]) -> None:
    """Raises RuntimeError with the names of those that are missing; warns where nobody may be asked.

    The dev server gets them as flags, a cluster by its one-shot service, Temporal Cloud by its console.
    """
    missing = await missing_search_attributes(client, wanted)
    if missing is None:
        log.warning("search attributes cannot be checked: orders do not start without them", needed=list(wanted))
    elif missing:
        raise RuntimeError(f"the namespace lacks the search attributes {', '.join(missing)}: create them first")


async def missing_search_attributes(client: Client, wanted: Sequence[str]) -> list[str] | None:
    """Those of `wanted` that the namespace does not have; None where the server refuses every way to ask."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = (await client.operator_service.list_search_attributes(request, timeout=PATIENCE)).custom_attributes
    except RPCError as error:
        if error.status not in REFUSALS:
            raise
        return await missing_in_queries(client, wanted)
    return [name for name in wanted if name not in known]


async def missing_in_queries(client: Client, wanted: Sequence[str]) -> list[str] | None:
    """Those that a visibility query may not name, which every server takes, Temporal Cloud too.

    `GetSearchAttributes` of the workflow service is no way either: https://github.com/temporalio/sdk-go/issues/1372.
    A server of one's own may know a new attribute in queries only a minute after it was made.
    """
    known = await asyncio.gather(*(_may_be_queried(client, name) for name in wanted))
    if None in known:
        return None
    return [name for name, found in zip(wanted, known, strict=True) if not found]


async def _may_be_queried(client: Client, name: str) -> bool | None:
    request = CountWorkflowExecutionsRequest(namespace=client.namespace, query=f"`{name}` IS NOT NULL")
    try:
        await client.workflow_service.count_workflow_executions(request, timeout=PATIENCE)
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            return False
        if error.status in REFUSALS:
            return None
        raise
    return True
