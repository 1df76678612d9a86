"""The search attributes of a namespace, also where the operator service is refused as by Temporal Cloud."""

from __future__ import annotations

import secrets
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from temporalio.api.operatorservice.v1 import ListSearchAttributesResponse
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.namespace import check_search_attributes, missing_search_attributes
from tests.support.waiting import until
from workflows.order import search_attributes

WANTED = [key.name for key in search_attributes.ALL]


class Service:
    """Answers each call by `answer`, or raises it."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    async def list_search_attributes(self, request: object, timeout: timedelta) -> object:
        return self._answered()

    async def count_workflow_executions(self, request: CountWorkflowExecutionsRequest, timeout: timedelta) -> object:
        return self._answered()

    def _answered(self) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def refused(status: RPCStatusCode) -> RPCError:
    return RPCError("Request unauthorized.", status, b"")


def client_of(operator: object, workflow: Any) -> Client:
    services = SimpleNamespace(namespace="default", operator_service=Service(operator), workflow_service=workflow)
    return cast(Client, services)


def like_the_cloud(client: Client) -> Client:
    """The same server, but for the operator service."""
    cloud = SimpleNamespace(
        namespace=client.namespace,
        operator_service=Service(refused(RPCStatusCode.PERMISSION_DENIED)),
        workflow_service=client.workflow_service,
    )
    return cast(Client, cloud)


async def test_asks_by_queries_where_the_operator_service_is_refused(temporal_client: Client) -> None:
    """A real server answers them: it knows what is there, and names all that is missing."""
    assert await missing_search_attributes(like_the_cloud(temporal_client), WANTED) == []
    namespace = f"bare-{secrets.token_hex(4)}"
    request = RegisterNamespaceRequest(namespace=namespace)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await temporal_client.workflow_service.register_namespace(request)
    bare = SimpleNamespace(**vars(like_the_cloud(temporal_client)) | {"namespace": namespace})

    async def missing() -> list[str] | None:
        try:
            return await missing_search_attributes(cast(Client, bare), WANTED)
        except RPCError as error:  # a new namespace takes a moment to reach every part of the server
            assert error.status is RPCStatusCode.NOT_FOUND
            return None

    wanted: list[str] | None = WANTED
    await until(missing, wanted)
    with pytest.raises(RuntimeError, match="lacks the search attributes OrderStatus, CustomerId, OrderTotal, Needs"):
        await check_search_attributes(cast(Client, bare), WANTED)


@pytest.mark.parametrize("status", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED])
async def test_goes_on_with_a_warning_where_nobody_may_be_asked(status: RPCStatusCode) -> None:
    """The warning names the attributes: whoever runs the namespace has to look."""
    with capture_logs() as lines:
        await check_search_attributes(client_of(refused(status), Service(refused(status))), WANTED)
    assert [(line["log_level"], line["needed"]) for line in lines] == [("warning", WANTED)]


async def test_any_other_error_is_no_refusal() -> None:
    """A server that is away is not taken for one that has the attributes."""
    away = refused(RPCStatusCode.UNAVAILABLE)
    with pytest.raises(RPCError):
        await check_search_attributes(client_of(away, Service(ListSearchAttributesResponse())), WANTED)
    with pytest.raises(RPCError):
        await check_search_attributes(client_of(refused(RPCStatusCode.UNIMPLEMENTED), Service(away)), WANTED)
