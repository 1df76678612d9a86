"""A cancel and the end of a step reach the workflow in one and the same task: the step's result is lost to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from activities.interceptors.failures import FailureTranslation
from adapters.settings import Settings
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
from worker import Activities, workflow_runner
from workflows.order_fulfillment import OrderFulfillment


def orders_only(client: Client, settings: Settings, activities: Activities, faults: StepFaults) -> Worker:
    """A worker that carries orders on, and leaves ordinary activities to another."""
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[OrderFulfillment],
        activities=activities.methods(),  # type: ignore[arg-type]
        interceptors=[FailureTranslation(), faults],
        workflow_runner=workflow_runner(),
        no_remote_activities=True,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    )


def steps_only(client: Client, settings: Settings, activities: Activities, faults: StepFaults) -> Worker:
    methods: Any = activities.methods()
    interceptors = [FailureTranslation(), faults]
    return Worker(client, task_queue=settings.task_queue, activities=methods, interceptors=interceptors)


@pytest.mark.parametrize("way", ["native", "signal"])
@pytest.mark.parametrize("step", ["authorize_payment", "ship_order", "capture_payment"])
async def test_cancel_and_the_end_of_a_step_in_one_task_still_undo_it(
    shop: Shop, temporal_client: Client, settings: Settings, activities: Activities, step: str, way: str
) -> None:
    """Nobody carries the order on while its step ends and the cancel comes: the next worker hears both at once."""
    faults = StepFaults()
    order = await shop.put(await shop.product())
    if step != "ship_order":
        faults.fail(step, TryAgain("so that it runs as an ordinary activity"))
    async with steps_only(temporal_client, settings, activities, faults):
        async with orders_only(temporal_client, settings, activities, faults):
            faults.hold(step)
            handle = await shop.start(order)
            await faults.arrived(step)
        faults.release(step)
        await until(lambda: _ended(handle, step), True)
        await (handle.cancel() if way == "native" else handle.signal(OrderFulfillment.cancel_order))
        async with orders_only(temporal_client, settings, activities, faults):
            if way == "native":
                with pytest.raises(WorkflowFailureError):
                    await handle.result()
            else:
                assert await handle.result() is OrderStatus.CANCELED
    books = await shop.books(order.order_id)
    assert (books.status, books.on_hand, books.reserved) == ("CANCELED", 10, 0)
    assert (books.held, books.kept, books.labels) == (0, 0, 0)


async def _ended(handle: Handle, step: str) -> bool:
    """Whether the step's completion is in the history, which nobody has read yet."""
    pending = (await handle.describe()).raw_description.pending_activities
    return all(activity.activity_type.name != step for activity in pending)
