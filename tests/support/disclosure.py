"""Where words turn up: in every payload of a history, and in all that the Temporal Web UI shows of a workflow."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client


def payloads(message: Any) -> list[str]:
    """What every payload in a message holds, also one whose bytes a printed message would show encoded."""
    if isinstance(message, Payload):
        return [message.data.decode()]
    if isinstance(message, Message):
        return [text for _, value in message.ListFields() for text in payloads(value)]
    if hasattr(message, "values") and not isinstance(message, str | bytes):
        return [text for value in message.values() for text in payloads(value)]
    if isinstance(message, str | bytes | int | float):
        return []
    return [text for value in message for text in payloads(value)]


async def described(client: Client, workflow_id: str) -> str:
    """All that lists and details of the Web UI show: attributes, memo, summary and the table of steps."""
    handle = client.get_workflow_handle(workflow_id)
    seen = await handle.describe()
    texts = [
        seen.typed_search_attributes,
        await seen.memo(),
        await seen.static_summary(),
        await seen.static_details(),
    ]
    return str([*texts, await handle.query("__temporal_workflow_metadata")])
