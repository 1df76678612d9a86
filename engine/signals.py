"""Signals to the workflows of orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import workflow_id

log = structlog.get_logger()


async def signal(temporal: Client, order_id: str, kind: Callable[..., None], *args: Any) -> None:
    """Signals the order's workflow; one that has ended has nothing to learn."""
    try:
        await temporal.get_workflow_handle(workflow_id(order_id)).signal(kind, args=args)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        log.info("signal_to_a_closed_workflow", order_id=order_id, signal=kind.__name__)
