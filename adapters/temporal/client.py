"""The connection to Temporal and the names that an order has there."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime

from adapters.settings import Settings
from adapters.telemetry import tracing
from adapters.temporal.deadlines import CONNECT_TIMEOUT, KEEP_ALIVE, Deadlines
from adapters.temporal.encryption import data_converter

PREFIX = "order-"
REFUND_PREFIX = "refund-"


def workflow_id(order_id: str) -> str:
    return f"{PREFIX}{order_id}"


def refund_workflow_id(order_id: str, key: str) -> str:
    return f"{REFUND_PREFIX}{order_id}-{key}"


def order_of(workflow_id: str | None) -> str | None:
    """The order that a workflow of this id carries or refunds; None for a workflow of another kind."""
    if workflow_id and workflow_id.startswith(REFUND_PREFIX):
        return workflow_id.removeprefix(REFUND_PREFIX).partition("-")[0]
    return workflow_id.removeprefix(PREFIX) if workflow_id and workflow_id.startswith(PREFIX) else None


def trace_link(settings: Settings, order_id: str) -> str:
    """The order's page in the Temporal Web UI."""
    ui = settings.temporal_ui_url.rstrip("/")
    return f"{ui}/namespaces/{settings.temporal_namespace}/workflows/{workflow_id(order_id)}"


async def connect(settings: Settings, *, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """A client that speaks pydantic, encrypted where the settings name keys. Raises KeysUnusable.

    The SDK's environment configuration (`TEMPORAL_*`, `TEMPORAL_CONFIG_FILE`) decides TLS and API key, our settings
    the address and the namespace. A lazy client connects at its first call, so that the API starts without Temporal.
    """
    config = ClientConfig.load_client_connect_config()
    config["target_host"] = settings.temporal_address
    config["namespace"] = settings.temporal_namespace
    return await Client.connect(
        **config,
        data_converter=data_converter(settings),
        interceptors=[Deadlines(), *tracing.interceptors()],
        keep_alive_config=KEEP_ALIVE,
        connect_timeout=CONNECT_TIMEOUT,
        lazy=lazy,
        runtime=runtime,
    )
