"""Failures and cancels at each step and during each undo, for the recorded histories."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from temporalio.client import WorkflowUpdateStage

from domain.commands import CancelRequest, FulfillOrder, ParcelStatus
from domain.errors import BusinessRefusal, CaptureRefused, TryAgain
from domain.order_states import OrderStatus
from tests.recordings.payments import delivered
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.steps import Steps
from tests.support.waiting import until
from worker import build_activities
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]

LOCAL = ("reserve_inventory", "authorize_payment")
SHORT = (*LOCAL, "capture_payment")
STEPS = (*LOCAL, "ship_order", "capture_payment")
UNDOS = ("cancel_shipment", "return_payment", "release_inventory")


async def lost_answer(shop: Shop, faults: StepFaults, step: str) -> Handle:
    """The step took effect and was refused all the same."""
    faults.fail(step, BusinessRefusal("refused", "the answer was lost"), after=True)
    return (await _started(shop))[1]


async def canceled_during(shop: Shop, faults: StepFaults, step: str) -> Handle:
    """The attempt that runs, as an ordinary activity, is left to finish."""
    if step in SHORT:
        faults.fail(step, TryAgain("so that it runs as an ordinary activity"))
    faults.hold(step)
    _, handle = await _started(shop)
    await faults.arrived(step)
    await handle.signal(OrderFulfillment.cancel_order, "changed my mind")
    faults.release(step)
    return handle


async def canceled_in_a_retry(shop: Shop, faults: StepFaults, step: str) -> Handle:
    faults.let_wait(step, timedelta(minutes=10), short=step in SHORT)
    _, handle = await _started(shop)
    await until(lambda: _waits_for_a_retry(handle, step), True)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too slow"))
    return handle


async def canceled_again_during(shop: Shop, faults: StepFaults, undo: str) -> Handle:
    """By signal, by native cancellation and, where it has an answer already, by update."""
    faults.hold(undo)
    order, handle = await _started(shop)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    await faults.arrived(undo)
    await handle.signal(OrderFulfillment.cancel_order, {"reason": "again", "by": "ops"})
    await handle.cancel()
    if undo != "cancel_shipment":
        await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="and again"))
    faults.release(undo)
    return handle


async def capture_refused(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("capture_payment", CaptureRefused("authorization_gone", "expired"))
    return (await _started(shop))[1]


async def a_void_that_the_carrier_confirmed_later(shop: Shop, faults: StepFaults) -> Handle:
    settings = f"{shop.stack.urls.carrier}/_control/settings"
    faults.hold("confirm_void")
    order, handle = await _started(shop)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    (await shop.http.post(settings, json={"refund_delay": 1})).raise_for_status()
    try:
        await handle.signal(OrderFulfillment.cancel_order)
        await faults.arrived("confirm_void")
        await until(lambda: shop.live_labels(order.order_id), 0)
    finally:
        (await shop.http.post(settings, json={"refund_delay": 0})).raise_for_status()
    faults.release("confirm_void")
    return handle


async def cancel_refused_before_the_capture(shop: Shop, faults: StepFaults) -> Handle:
    """An early scan, found by the cancel: the capture goes on."""
    faults.let_wait("capture_payment", short=True)
    order, handle = await _started(shop)
    await until(lambda: _waits_for_a_retry(handle, "capture_payment"), True)
    await shop.parcel(order.order_id, "in_transit")
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too late"))
    return await delivered(shop, order, handle)


async def scanned_before_the_capture(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("capture_payment", TryAgain("so that it runs as an ordinary activity"))
    faults.hold("capture_payment")
    order, handle = await _started(shop)
    await faults.arrived("capture_payment")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    faults.release("capture_payment")
    await until(lambda: shop.status(order.order_id), OrderStatus.SHIPPED)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def cancels_of_all_kinds_refused_when_shipped(shop: Shop, faults: StepFaults) -> Handle:
    """The native one, too: the order goes on to its delivery."""
    order, handle = await _started(shop)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: shop.status(order.order_id), OrderStatus.SHIPPED)
    await handle.signal(OrderFulfillment.cancel_order)
    await handle.cancel()
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too late"))
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def cancels_refused_while_it_was_rejected(shop: Shop, faults: StepFaults) -> Handle:
    faults.hold("release_inventory")
    order = await shop.put(await shop.product(), payment_method="pm_card_chargeDeclined")
    handle = await shop.start(order)
    await faults.arrived("release_inventory")
    await handle.cancel()
    asking = await handle.start_update(
        OrderFulfillment.cancel, CancelRequest(), wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    faults.release("release_inventory")
    await asking.result()
    return handle


async def cancels_at_once(shop: Shop, faults: StepFaults) -> Handle:
    faults.hold("return_payment")  # so that the order is not over before the last one arrives
    order, handle = await _started(shop)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    update = OrderFulfillment.cancel
    await asyncio.gather(*(handle.execute_update(update, CancelRequest(reason=f"{n}")) for n in range(11)))
    faults.release("return_payment")
    return handle


async def canceled_in_the_grace_period(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _in_its_grace_period(shop)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="changed my mind"))
    return handle


async def shipped_at_once_in_the_grace_period(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _in_its_grace_period(shop)
    await handle.signal(OrderFulfillment.ship_now)
    return await delivered(shop, order, handle)


async def hurried_by_the_api_in_the_grace_period(shop: Shop, faults: StepFaults) -> Handle:
    """Its wish is in the books, where the workflow looks for it."""
    return await shipped_at_once_in_the_grace_period(shop, faults)


async def canceled_again_while_it_was_written_down(shop: Shop, faults: StepFaults) -> Handle:
    faults.hold("record_cancel_request")
    _, handle = await _in_its_grace_period(shop)
    await handle.signal(OrderFulfillment.cancel_order)
    await faults.arrived("record_cancel_request")
    await handle.signal(OrderFulfillment.cancel_order, "again")
    faults.release("record_cancel_request")
    return handle


async def a_lost_task_undone(shop: Shop, faults: StepFaults) -> Handle:
    """A worker died inside the first task: its steps took effect, no history tells of them, and a cancel comes."""
    order = await shop.put(await shop.product())
    async with build_activities(shop.settings) as activities:
        for step in LOCAL:
            await Steps(activities, shop).run(step, order.order_id)
    return await shop.start(order, by_signal="changed my mind")


async def a_wish_that_came_twice(shop: Shop, faults: StepFaults) -> Handle:
    """The API gave its update up and left a signal, but the update was accepted; another wish waits beside it."""
    faults.hold("cancel_shipment")
    order, handle = await _started(shop)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "in_transit")
    wish = {"reason": "too late", "by": "customer", "wish_id": "a-wish"}
    asked = await handle.start_update("cancel", wish, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await faults.arrived("cancel_shipment")
    await handle.signal(OrderFulfillment.cancel_order, wish)
    await handle.signal(OrderFulfillment.cancel_order, {"reason": "me, too", "wish_id": "another-wish"})
    faults.release("cancel_shipment")
    await asked.result()
    return await delivered(shop, order, handle)


async def _in_its_grace_period(shop: Shop) -> tuple[FulfillOrder, Handle]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order.model_copy(update={"grace_period": timedelta(hours=1)}))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    return order, handle


async def _started(shop: Shop) -> tuple[FulfillOrder, Handle]:
    order = await shop.put(await shop.product())
    return order, await shop.start(order)


async def _waits_for_a_retry(handle: Handle, step: str) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(activity.activity_type.name == step and activity.attempt > 1 for activity in pending)


PATHS: dict[str, Walk] = {
    **{f"lost_answer_of_{step}": partial(lost_answer, step=step) for step in STEPS},
    **{f"canceled_during_{step}": partial(canceled_during, step=step) for step in STEPS},
    **{f"canceled_in_a_retry_of_{step}": partial(canceled_in_a_retry, step=step) for step in STEPS},
    **{f"canceled_again_during_{undo}": partial(canceled_again_during, undo=undo) for undo in UNDOS},
    **{
        path.__name__: path
        for path in (
            capture_refused,
            a_void_that_the_carrier_confirmed_later,
            cancel_refused_before_the_capture,
            scanned_before_the_capture,
            cancels_of_all_kinds_refused_when_shipped,
            cancels_refused_while_it_was_rejected,
            cancels_at_once,
            canceled_in_the_grace_period,
            shipped_at_once_in_the_grace_period,
            hurried_by_the_api_in_the_grace_period,
            canceled_again_while_it_was_written_down,
            a_lost_task_undone,
            a_wish_that_came_twice,
        )
    },
}
