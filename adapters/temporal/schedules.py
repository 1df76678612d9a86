"""The Temporal Schedules of the scheduled jobs, brought in line with the settings when a worker starts.

Any number of workers may start at once: each looks, and changes only what differs. A pause is a person's: it stays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

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

from adapters.settings import Settings
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

        def updated(known: ScheduleUpdateInput) -> ScheduleUpdate | None:
            schedule = known.description.schedule
            if _says(schedule, wanted, argument.data):
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


def _says(known: Schedule, wanted: Schedule, argument: bytes) -> bool:
    """Whether a schedule is as it should be, in what the settings decide and what a version of ours decides."""
    action, should = known.action, wanted.action
    assert isinstance(action, ScheduleActionStartWorkflow) and isinstance(should, ScheduleActionStartWorkflow)
    given = [bytes(payload.data) for payload in action.args]
    return (
        (action.workflow, action.task_queue, action.execution_timeout, given)
        == (should.workflow, should.task_queue, should.execution_timeout, [argument])
        and [one.every for one in known.spec.intervals] == [one.every for one in wanted.spec.intervals]
        and known.policy == wanted.policy
    )
