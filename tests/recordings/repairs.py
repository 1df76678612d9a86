"""The paths of an order that an operator had to settle, each walked by a real one, for the recorded histories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlmodel import col, select

from domain.commands import Attention, CancelRequest, ParcelStatus
from domain.errors import CaptureRefused, OurMistake
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from services.orders.book import OrderBook
from services.tickets.book import open_ticket
from services.tickets.tables import Ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]


async def an_undo_tried_again_by_a_person(shop: Shop, faults: StepFaults) -> Handle:
    order_id, handle = await _stuck_undo(shop, faults)
    return await _decide(shop, order_id, handle, RepairDecision.RETRY)


async def an_undo_done_by_hand(shop: Shop, faults: StepFaults) -> Handle:
    order_id, handle = await _stuck_undo(shop, faults)
    return await _decide(shop, order_id, handle, RepairDecision.MARK_DONE)


async def an_undo_written_off(shop: Shop, faults: StepFaults) -> Handle:
    order_id, handle = await _stuck_undo(shop, faults)
    return await _decide(shop, order_id, handle, RepairDecision.WRITE_OFF)


async def an_undo_decided_by_signal(shop: Shop, faults: StepFaults) -> Handle:
    """As of a workflow that has had all the updates that it takes."""
    order_id, handle = await _stuck_undo(shop, faults)
    await handle.signal(OrderFulfillment.resolve_later, await _decision(shop, order_id, RepairDecision.RETRY))
    return handle


async def a_waiting_retry_ended_by_a_person(shop: Shop, faults: StepFaults) -> Handle:
    faults.let_wait("capture_payment", short=True)
    order_id, handle = await _started(shop)
    await until(lambda: _waits_for_a_retry(handle, "capture_payment"), True)
    about = Attention(order_id=order_id, step="capture_payment", kind="step_keeps_failing", detail="away")
    async with OrderBook(shop.sessions).locked(order_id) as order:
        await open_ticket(order, about)  # as after two minutes
    await _decide(shop, order_id, handle, RepairDecision.RETRY)
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def a_refused_capture_written_off_after_the_scan(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("capture_payment", CaptureRefused("authorization_gone", "expired"))
    faults.let_wait("capture_payment", short=True)
    order_id, handle = await _started(shop)
    await until(lambda: _waits_for_a_retry(handle, "capture_payment"), True)
    await shop.parcel(order_id, "in_transit")
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest())  # refused: the capture begins anew
    await _decide(shop, order_id, handle, RepairDecision.WRITE_OFF)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def a_cancel_refused_while_a_person_looked(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("capture_payment", CaptureRefused("authorization_gone", "expired"))
    faults.let_wait("capture_payment", short=True)
    order_id, handle = await _started(shop)
    await until(lambda: _waits_for_a_retry(handle, "capture_payment"), True)
    await shop.parcel(order_id, "in_transit")
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest())  # refused: the capture begins anew
    await until(lambda: _flagged(shop, order_id), True)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="still"))
    await _decide(shop, order_id, handle, RepairDecision.WRITE_OFF)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def _flagged(shop: Shop, order_id: str) -> bool:
    return (await shop.order(order_id)).needs_attention


async def a_lost_parcel_delivered_by_hand(shop: Shop, faults: StepFaults) -> Handle:
    order_id, handle = await _lost_parcel(shop)
    return await _decide(shop, order_id, handle, RepairDecision.MARK_DONE)


async def a_lost_parcel_given_up(shop: Shop, faults: StepFaults) -> Handle:
    order_id, handle = await _lost_parcel(shop)
    return await _decide(shop, order_id, handle, RepairDecision.WRITE_OFF)


async def _stuck_undo(shop: Shop, faults: StepFaults) -> tuple[str, Handle]:
    faults.fail("return_payment", OurMistake("the refund failed"))
    order_id, handle = await _started(shop)
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    return order_id, handle


async def _lost_parcel(shop: Shop) -> tuple[str, Handle]:
    order_id, handle = await _started(shop)
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.FAILURE)
    return order_id, handle


async def _started(shop: Shop) -> tuple[str, Handle]:
    order = await shop.put(await shop.product())
    return order.order_id, await shop.start(order)


async def _decide(shop: Shop, order_id: str, handle: Handle, decision: RepairDecision) -> Handle:
    answer = await handle.execute_update(OrderFulfillment.resolve, await _decision(shop, order_id, decision))
    assert answer.accepted, answer
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
    proof = "transfer 4711" if decision is RepairDecision.MARK_DONE else ""
    return Resolution(ticket_id=await opened(), decision=decision, by="alice", evidence=proof)


async def _waits_for_a_retry(handle: Handle, step: str) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(activity.activity_type.name == step and activity.attempt > 1 for activity in pending)


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        an_undo_tried_again_by_a_person,
        an_undo_done_by_hand,
        an_undo_written_off,
        an_undo_decided_by_signal,
        a_waiting_retry_ended_by_a_person,
        a_refused_capture_written_off_after_the_scan,
        a_cancel_refused_while_a_person_looked,
        a_lost_parcel_delivered_by_hand,
        a_lost_parcel_given_up,
    )
}
