"""Recoveries of orders whose workflow was terminated, and the scheduled jobs, for the recorded histories."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from sqlmodel import col, select
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from domain.commands import Attention, CancelRequest, NewPaymentMethod, ParcelStatus
from domain.errors import OurMistake
from domain.order_states import OrderStatus
from domain.recovery import CatchUpEvents, ReconcileOrders
from domain.repairs import RepairDecision, Resolution
from services.orders.book import OrderBook
from services.tickets.book import open_ticket
from services.tickets.tables import Ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.reconciling import recover
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment
from workflows.reconciliation import Reconciliation, StripeEvents

Walk = Callable[[Shop, StepFaults], Awaitable[WorkflowHandle[Any, Any]]]

STEPS = ("reserve_inventory", "authorize_payment", "ship_order", "capture_payment")
PARCEL = ("record_shipped", "record_delivered")
WHY = "its workflow was terminated"


async def after_a_step(shop: Shop, faults: StepFaults, step: str) -> Handle:
    order_id = await _terminated(shop, faults, step, after=True)
    return await _recovered(shop, order_id)


async def on_its_way(shop: Shop, faults: StepFaults, step: str) -> Handle:
    faults.hold(step)
    order_id, handle = await _ready_to_ship(shop)
    await shop.parcel(order_id, "delivered" if step == "record_delivered" else "in_transit")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    await faults.arrived(step)
    await handle.terminate("by mistake")
    faults.abandon(step)
    recovery = await _recovered(shop, order_id)
    if step == "record_shipped":
        await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
        await recovery.execute_update(OrderFulfillment.cancel, CancelRequest())  # refused
        await recovery.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return recovery


async def recovery_of_a_parcel_scanned_before_the_capture(shop: Shop, faults: StepFaults) -> Handle:
    order_id = await _terminated(shop, faults, "capture_payment", scanned=True)
    recovery = await _recovered(shop, order_id)
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await recovery.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return recovery


async def recovery_of_a_lost_parcel_given_up(shop: Shop, faults: StepFaults) -> Handle:
    order_id = await _terminated(shop, faults, "capture_payment", scanned=True)
    recovery = await _recovered(shop, order_id)
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await recovery.signal(OrderFulfillment.parcel_changed, ParcelStatus.FAILURE)
    return await _decide(shop, order_id, recovery, RepairDecision.WRITE_OFF)


async def recovery_that_waited_for_the_void(shop: Shop, faults: StepFaults) -> Handle:
    settings = f"{shop.stack.urls.carrier}/_control/settings"
    order_id = await _terminated(shop, faults, "capture_payment", after=True)
    faults.hold("confirm_void")
    (await shop.http.post(settings, json={"refund_delay": 1})).raise_for_status()
    try:
        recovery = await _recovered(shop, order_id)
        await faults.arrived("confirm_void")
        await until(lambda: shop.live_labels(order_id), 0)
    finally:
        (await shop.http.post(settings, json={"refund_delay": 0})).raise_for_status()
    faults.release("confirm_void")
    return recovery


async def recovery_spoken_to(shop: Shop, faults: StepFaults) -> Handle:
    """Every signal and update while it undoes, and a native cancellation, too."""
    order_id = await _terminated(shop, faults, "ship_order")
    faults.hold("return_payment")
    recovery = await _recovered(shop, order_id)
    await faults.arrived("return_payment")
    await recovery.execute_update(OrderFulfillment.cancel, CancelRequest(reason="me, too"))
    with suppress(WorkflowUpdateFailedError):
        await recovery.execute_update(OrderFulfillment.pay, NewPaymentMethod(payment_method="pm_card_visa"))
    for signal in ("ship_now", "payment_changed", "cancel_order"):
        await recovery.signal(signal)
    await recovery.cancel()
    await recovery.execute_update(OrderFulfillment.checkout)
    faults.release("return_payment")
    return recovery


async def recovery_canceled_before_it_began(shop: Shop, faults: StepFaults) -> Handle:
    order_id = await _terminated(shop, faults, "capture_payment", after=True)
    faults.hold("look_at_order")
    recovery = await _recovered(shop, order_id)
    await faults.arrived("look_at_order")
    await recovery.signal(OrderFulfillment.cancel_order, "changed my mind")
    faults.release("look_at_order")
    return recovery


async def recovery_settled_by_a_person(shop: Shop, faults: StepFaults) -> Handle:
    order_id = await _terminated(shop, faults, "capture_payment", after=True)
    faults.fail("return_payment", OurMistake("the refund failed"))
    return await _decide(shop, order_id, await _recovered(shop, order_id), RepairDecision.RETRY)


async def recovery_decided_by_signal(shop: Shop, faults: StepFaults) -> Handle:
    order_id = await _terminated(shop, faults, "capture_payment", after=True)
    faults.fail("return_payment", OurMistake("the refund failed"))
    handle = await _recovered(shop, order_id)
    await handle.signal(OrderFulfillment.resolve_later, await _decision(shop, order_id, RepairDecision.RETRY))
    return handle


async def recovery_that_settled_a_ticket(shop: Shop, faults: StepFaults) -> Handle:
    order_id = await _terminated(shop, faults, "capture_payment", after=True)
    async with OrderBook(shop.sessions).locked(order_id) as order:
        await open_ticket(order, Attention(order_id=order_id, step="capture_payment", kind="step_keeps_failing"))
    return await _recovered(shop, order_id)


async def recovery_of_an_order_that_never_started(shop: Shop, faults: StepFaults) -> Handle:
    return await _recovered(shop, (await shop.put(await shop.product())).order_id)


async def recovery_of_an_order_that_was_over(shop: Shop, faults: StepFaults) -> Handle:
    """Its undos look once more."""
    order_id, handle = await _ready_to_ship(shop)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="found it cheaper"))
    await handle.result()
    return await _recovered(shop, order_id)


async def reconciliation_in_batches(shop: Shop, faults: StepFaults) -> WorkflowHandle[Any, Any]:
    """One order without a workflow, and one that is looked after."""
    alone = (await shop.put(await shop.product())).order_id
    live, _ = await _ready_to_ship(shop)
    asked = ReconcileOrders(unchanged_for=timedelta(0), order_ids=[alone, live], batch=1)
    return await _job(shop, Reconciliation.run, asked)


async def reconciliation_that_stopped(shop: Shop, faults: StepFaults) -> WorkflowHandle[Any, Any]:
    """It would undo more orders than it may."""
    order_id, handle = await _ready_to_ship(shop)
    await handle.terminate("another cluster")
    return await _job(
        shop, Reconciliation.run, ReconcileOrders(unchanged_for=timedelta(0), order_ids=[order_id], stop_orders=0)
    )


async def stripe_events_listed(shop: Shop, faults: StepFaults) -> WorkflowHandle[Any, Any]:
    """The second time: the first one looks at days."""
    asked = CatchUpEvents(older_than=timedelta(0))
    await (await _job(shop, StripeEvents.run, asked)).result()
    return await _job(shop, StripeEvents.run, asked)


async def _job(shop: Shop, run: Any, asked: Any) -> WorkflowHandle[Any, Any]:
    name = f"job-{secrets.token_hex(4)}"
    handle: WorkflowHandle[Any, Any] = await shop.client.start_workflow(
        run, asked, id=name, task_queue=shop.settings.task_queue
    )
    return handle


async def _terminated(
    shop: Shop, faults: StepFaults, step: str, *, after: bool = False, scanned: bool = False
) -> str:
    """An order that was ended while `step` stood still, before or after its effect; its attempt is over."""
    (faults.hold_answer if after else faults.hold)(step)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived(step)
    await handle.terminate("by mistake")
    if scanned:
        await shop.parcel(order.order_id, "in_transit")
    (faults.release if after else faults.abandon)(step)
    await until(lambda: _over(faults, step), True)
    return order.order_id


async def _over(faults: StepFaults, step: str) -> bool:
    return faults.ended.count(step) == faults.calls.count(step)


async def _ready_to_ship(shop: Shop) -> tuple[str, Handle]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    return order.order_id, handle


async def _recovered(shop: Shop, order_id: str) -> Handle:
    assert await recover(shop, order_id, WHY)
    return shop.client.get_workflow_handle(f"order-{order_id}", result_type=OrderStatus)


async def _decide(shop: Shop, order_id: str, handle: Handle, decision: RepairDecision) -> Handle:
    await handle.execute_update(OrderFulfillment.resolve, await _decision(shop, order_id, decision))
    return handle


async def _decision(shop: Shop, order_id: str, decision: RepairDecision) -> Resolution:
    """About the order's one open ticket, as soon as there is one."""
    query = select(Ticket.id).where(Ticket.order_id == order_id, col(Ticket.resolved_at).is_(None))

    async def opened() -> int:
        async with shop.sessions() as session:
            return (await session.exec(query)).one_or_none() or 0

    async def is_open() -> bool:
        return await opened() > 0

    await until(is_open, True)
    return Resolution(ticket_id=await opened(), decision=decision, by="alice")


PATHS: dict[str, Walk] = {
    **{f"recovery_after_{step}": partial(after_a_step, step=step) for step in STEPS},
    **{f"recovery_before_{step}": partial(on_its_way, step=step) for step in PARCEL},
    **{
        path.__name__: path
        for path in (
            recovery_of_a_parcel_scanned_before_the_capture,
            recovery_of_a_lost_parcel_given_up,
            recovery_that_waited_for_the_void,
            recovery_spoken_to,
            recovery_canceled_before_it_began,
            recovery_settled_by_a_person,
            recovery_decided_by_signal,
            recovery_that_settled_a_ticket,
            recovery_of_an_order_that_never_started,
            recovery_of_an_order_that_was_over,
            reconciliation_in_batches,
            reconciliation_that_stopped,
            stripe_events_listed,
        )
    },
}
