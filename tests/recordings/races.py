"""Two events that reach an order in one workflow task, in both orders, for the recorded histories.

Nobody carries the order on while both arrive; the worker that comes then hears both at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

from temporalio.worker import Worker

from activities.interceptors.failures import FailureTranslation
from domain.commands import ParcelStatus
from domain.errors import PaymentDeclined, TryAgain
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
from worker import Activities, build_activities, workflow_runner
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]
Event: TypeAlias = Callable[[Handle], Awaitable[None]]

STEPS = ("authorize_payment", "ship_order", "capture_payment")
UNDOS = ("cancel_shipment", "return_payment", "release_inventory")
FIRST = {"cancel": "after_the_cancel", "end": "before_the_cancel"}  # which event the order hears first


async def canceled_as_it_ended(shop: Shop, _: StepFaults, step: str, way: str, first: str) -> Handle:
    """The end of an attempt and a cancel. An attempt's success is lost to the order then."""
    faults = StepFaults()
    if step != "ship_order":
        faults.fail(step, TryAgain("so that it runs as an ordinary activity"))
    return await _at_once(shop, faults, step, first, natively if way == "native" else by_signal)


async def canceled_as_it_was_declined(shop: Shop, _: StepFaults, first: str) -> Handle:
    step, faults = "authorize_payment", StepFaults()
    faults.fail(step, TryAgain("so that it runs as an ordinary activity"))
    faults.fail(step, PaymentDeclined("generic_decline", "declined"), after=True)
    return await _at_once(shop, faults, step, first, by_signal)


async def canceled_again_as_it_ended(shop: Shop, _: StepFaults, undo: str, first: str) -> Handle:
    return await _at_once(shop, StepFaults(), undo, first, natively, before=by_signal)


async def canceled_as_it_was(shop: Shop, _: StepFaults, seen: ParcelStatus, first: str) -> Handle:
    """Scanned or delivered, and canceled."""
    queue, faults = _own_queue(shop), StepFaults()

    async def tell(handle: Handle) -> None:
        await handle.signal(OrderFulfillment.parcel_changed, seen)

    async with build_activities(queue.settings) as activities, _steps(queue, activities, faults):
        async with _orders(queue, activities, faults):
            order = await queue.put(await queue.product())
            handle = await queue.start(order)
            await until(lambda: queue.status(order.order_id), OrderStatus.READY_TO_SHIP)
        await queue.parcel(order.order_id, "in_transit" if seen is ParcelStatus.IN_TRANSIT else "delivered")
        for event in (by_signal, tell) if first == "cancel" else (tell, by_signal):
            await event(handle)
        async with _orders(queue, activities, faults):
            if seen is not ParcelStatus.DELIVERED:
                await until(lambda: queue.status(order.order_id), OrderStatus.SHIPPED)
                await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
            await until(lambda: _closed(handle), True)
    return handle


async def _at_once(
    shop: Shop,
    faults: StepFaults,
    step: str,
    first: str,
    cancel: Event,
    *,
    before: Event | None = None,
) -> Handle:
    """`step` is held, the order's worker goes; the step ends and the cancel comes; another worker carries it on."""
    queue = _own_queue(shop)

    async def end(handle: Handle) -> None:
        faults.release(step)
        await until(lambda: _ended(handle, step), True)

    async with build_activities(queue.settings) as activities, _steps(queue, activities, faults):
        async with _orders(queue, activities, faults):
            faults.hold(step)
            order = await queue.put(await queue.product())
            handle = await queue.start(order)
            if before is not None:
                await until(lambda: queue.status(order.order_id), OrderStatus.READY_TO_SHIP)
                await before(handle)
            await faults.arrived(step)
        for event in (cancel, end) if first == "cancel" else (end, cancel):
            await event(handle)
        async with _orders(queue, activities, faults):
            await until(lambda: _closed(handle), True)
    return handle


async def by_signal(handle: Handle) -> None:
    await handle.signal(OrderFulfillment.cancel_order, "changed my mind")


async def natively(handle: Handle) -> None:
    await handle.cancel()


def _own_queue(shop: Shop) -> Shop:
    """No other worker takes part."""
    settings = shop.settings.model_copy(update={"task_queue": "races"})
    return Shop(shop.stack, settings, shop.sessions, shop.client, shop.http)


def _orders(shop: Shop, activities: Activities, faults: StepFaults) -> Worker:
    """Carries orders on, and leaves ordinary activities to another worker."""
    methods: Any = activities.methods()
    return Worker(
        shop.client,
        task_queue=shop.settings.task_queue,
        workflows=[OrderFulfillment],
        activities=methods,
        interceptors=[FailureTranslation(), faults],
        workflow_runner=workflow_runner(),
        no_remote_activities=True,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    )


def _steps(shop: Shop, activities: Activities, faults: StepFaults) -> Worker:
    methods: Any = activities.methods()
    interceptors = [FailureTranslation(), faults]
    return Worker(shop.client, task_queue=shop.settings.task_queue, activities=methods, interceptors=interceptors)


async def _ended(handle: Handle, step: str) -> bool:
    """Whether the end of the step is in the history, which nobody has read yet."""
    pending = (await handle.describe()).raw_description.pending_activities
    return all(activity.activity_type.name != step for activity in pending)


async def _closed(handle: Handle) -> bool:
    return (await handle.describe()).close_time is not None


PATHS: dict[str, Walk] = {
    **{
        f"race_{step}_ended_{when}_{how}": partial(canceled_as_it_ended, step=step, way=way, first=first)
        for step in STEPS
        for first, when in FIRST.items()
        for way, how in (("signal", "by_signal"), ("native", "natively"))
    },
    **{
        f"race_{undo}_ended_{when.replace('the', 'a_second')}": partial(
            canceled_again_as_it_ended, undo=undo, first=first
        )
        for undo in UNDOS
        for first, when in FIRST.items()
    },
    **{
        f"race_{name}_{when}": partial(canceled_as_it_was, seen=seen, first=first)
        for name, seen in (("scanned", ParcelStatus.IN_TRANSIT), ("delivered", ParcelStatus.DELIVERED))
        for first, when in FIRST.items()
    },
    **{f"race_declined_{when}": partial(canceled_as_it_was_declined, first=first) for first, when in FIRST.items()},
}
