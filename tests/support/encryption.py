"""Payloads of whole messages, encrypted or in clear: a history as the server keeps it, and as people read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.client import Client, WorkflowHistory

Recode = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]
CORES_OWN = ("patch-data", "data")  # details of markers that the SDK's native part writes, past every codec


def payloads_of(message: Any) -> Iterator[Payload]:
    """Those that the SDK gives to a codec; search attributes and what the native part writes are none."""
    if isinstance(message, Payload):
        yield message
    elif isinstance(message, SearchAttributes):
        return
    elif isinstance(message, Message):
        for _, value in message.ListFields():
            yield from payloads_of(value)
    elif hasattr(message, "items"):
        for key, value in message.items():
            if key not in CORES_OWN:
                yield from payloads_of(value)
    elif not isinstance(message, str | bytes | int | float):  # a repeated field, which has no __iter__
        for value in message:
            yield from payloads_of(value)


async def recoded(history: WorkflowHistory, recode: Recode) -> WorkflowHistory:
    """A copy of the history with each payload put through `recode`."""
    copies = []
    for event in history.events:
        copied = type(event)()
        copied.CopyFrom(event)
        for payload in payloads_of(copied):
            [new] = await recode([payload])
            payload.CopyFrom(new)
        copies.append(copied)
    return WorkflowHistory(history.workflow_id, copies)


async def clear_history(client: Client, workflow_id: str) -> WorkflowHistory:
    """A workflow's history as people with the key read it; one of a client that does not encrypt as it is."""
    found = await client.get_workflow_handle(workflow_id).fetch_history()
    codec = client.data_converter.payload_codec
    return found if codec is None else await recoded(found, codec.decode)
