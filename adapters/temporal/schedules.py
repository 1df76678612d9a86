"""The Temporal Schedules of the scheduled jobs, brought in line with the settings when a worker starts.

Any number of workers may start at once: each looks, and changes only what differs. A pause is a person's: it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.converter import DataConverter

from adapters.settings import Settings
from adapters.temporal.encryption import KEY, CannotDecrypt
from domain.commands import Message
from domain.recovery import CatchUpEvents, ReconcileOrders

LONGEST_RUN = timedelta(hours=1)  # one that hangs for longer makes room for the next one
MISSED_BY = timedelta(minutes=1)  # how late a run may begin after the server was away; after that the next one does

log = structlog.get_logger(__name__)


class Job(NamedTuple):
    workflow: str
    argument: Message
    every: timedelta


def jobs(settings: Settings) -> list[Job]:
    return [
        Job("Reconciliation", _reconciliation(settings), settings.reconcile_every),
        Job("StripeEvents", CatchUpEvents(), settings.event_catch_up_every),
    ]


def _reconciliation(settings: Settings) -> ReconcileOrders:
    return ReconcileOrders(
        unchanged_for=settings.reconcile_after,
        stop_orders=settings.reconcile_stop_orders,
        stop_share=settings.reconcile_stop_share,
    )


def schedule_id(workflow: str, task_queue: str) -> str:
    """Each task queue has its own: two fleets in one namespace have settings of their own."""
    return f"{workflow}-{task_queue}"


async def ensure_schedules(client: Client, settings: Settings) -> None:
    for job in jobs(settings):
        await _ensure(client, job, settings.task_queue)


async def _ensure(client: Client, job: Job, task_queue: str) -> None:
    name = schedule_id(job.workflow, task_queue)
    wanted = _schedule(name, job, task_queue)
    try:
        await client.create_schedule(name, wanted)
        log.info("schedule created", schedule=name, every=str(job.every))
    except ScheduleAlreadyRunningError:
        [argument] = await client.data_converter.encode([job.argument])

        async def updated(known: ScheduleUpdateInput) -> ScheduleUpdate | None:
            schedule = known.description.schedule
            given = await _shown(client.data_converter, _action(schedule).args)
            if _says(schedule, wanted) and given == await _shown(client.data_converter, [argument]):
                return None
            log.info("schedule changed", schedule=name, every=str(job.every))
            wanted.state = schedule.state
            return ScheduleUpdate(wanted)

        await client.get_schedule_handle(name).update(updated)


def _schedule(name: str, job: Job, task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            job.workflow, job.argument, id=name, task_queue=task_queue, execution_timeout=LONGEST_RUN
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=job.every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=MISSED_BY),
    )


def _action(schedule: Schedule) -> ScheduleActionStartWorkflow:
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    return schedule.action


async def _shown(converter: DataConverter, arguments: Sequence[Any]) -> list[tuple[bytes, bytes]] | None:
    """Each argument in clear, with the id of its key: one that left the ring would make the schedule unreadable.

    None where a key has left already.
    """
    keys = [payload.metadata.get(KEY, b"") for payload in arguments]
    try:
        clear = await converter.payload_codec.decode(arguments) if converter.payload_codec else arguments
    except CannotDecrypt:
        return None
    return [(key, payload.data) for key, payload in zip(keys, clear, strict=True)]


def _says(known: Schedule, wanted: Schedule) -> bool:
    """Whether a schedule is as it should be, in what the settings decide and what a version of ours decides."""
    action, should = _action(known), _action(wanted)
    return (
        (action.workflow, action.task_queue, action.execution_timeout)
        == (should.workflow, should.task_queue, should.execution_timeout)
        and [one.every for one in known.spec.intervals] == [one.every for one in wanted.spec.intervals]
        and known.policy == wanted.policy
    )
