"""The gate that a change of the workflows has to pass: recorded histories, replayed, and what stands in them."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.worker import Replayer

from adapters.temporal.encryption import encrypting
from tests.recordings.record import HISTORIES
from tests.support.encryption import recoded
from worker import workflow_runner

RECORDED = sorted(HISTORIES.glob("*.json"))


@functools.cache
def read(file: Path) -> WorkflowHistory:
    """Not to be changed: all tests of a process share it."""
    return WorkflowHistory.from_json(f"order-{file.stem}", file.read_text())


async def failures(
    workflows: Sequence[type], files: Iterable[Path], codec: PayloadCodec | None = None
) -> dict[str, Exception]:
    """The histories that these workflows do not follow, and why, as a worker of production would find it.

    With a codec they are encrypted before.
    """
    replayer = Replayer(
        workflows=workflows,
        data_converter=pydantic_data_converter if codec is None else encrypting(codec),
        workflow_runner=workflow_runner(),
    )
    found = {}
    async with replayer.workflow_replay_iterator(_histories(files, codec)) as results:
        async for result in results:
            if result.replay_failure is not None:
                found[result.history.workflow_id.removeprefix("order-")] = result.replay_failure
    return found


async def _histories(files: Iterable[Path], codec: PayloadCodec | None) -> AsyncIterator[WorkflowHistory]:
    for file in files:
        yield read(file) if codec is None else await recoded(read(file), codec.encode)


class Told(NamedTuple):
    """Something that a history tells: ("activity", its name), ("signal", ...), ("update", ...), ("patch", ...)."""

    kind: str
    name: str


def told(history: WorkflowHistory) -> Iterator[Told]:
    for event in history.events:
        yield from _told(event)


def _told(event: HistoryEvent) -> Iterator[Told]:
    match event.WhichOneof("attributes"):
        case "activity_task_scheduled_event_attributes":
            yield Told("activity", event.activity_task_scheduled_event_attributes.activity_type.name)
        case "workflow_execution_signaled_event_attributes":
            yield Told("signal", event.workflow_execution_signaled_event_attributes.signal_name)
        case "workflow_execution_update_accepted_event_attributes":
            accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request
            yield Told("update", accepted.input.name)
        case "marker_recorded_event_attributes":
            marker = event.marker_recorded_event_attributes
            kind, key, field = {
                "core_local_activity": ("activity", "data", "activity_type"),
                "core_patch": ("patch", "patch-data", "id"),
            }[marker.marker_name]
            [said] = DataConverter.default.payload_converter.from_payloads(marker.details[key].payloads)
            yield Told(kind, said[field])


def type_of(history: WorkflowHistory) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def arrivals(history: WorkflowHistory) -> Iterator[list[HistoryEvent]]:
    """What each workflow task brought to the order, in the order of arrival."""
    batch: list[HistoryEvent] = []
    ours = (
        "workflow_task_",
        "marker_",
        "upsert_",
        "timer_started",
        "activity_task_scheduled",
        "activity_task_started",
    )
    for event in history.events:
        kind = event.WhichOneof("attributes") or ""
        if kind == "workflow_task_completed_event_attributes":
            yield batch
            batch = []
        elif not kind.startswith(ours):
            batch.append(event)
