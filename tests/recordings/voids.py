"""The paths of an order whose label is to be void and whose carrier takes its time, for the recorded histories."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from sqlmodel import col, select

from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from services.tickets.tables import Ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.reconciling import recover
from tests.support.voids import LATER, carrier_decides, usual_carrier
from tests.support.waiting import until
from worker import build_activities, build_worker
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]


async def a_void_that_was_pending_until_the_carrier_said_so(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _pending(shop)
    await until(lambda: _looks(faults), 1)
    await carrier_decides(shop)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.CANCELED)
    return handle


async def a_void_that_was_rejected_and_settled_by_a_person(shop: Shop, faults: StepFaults) -> Handle:
    order_id, handle = await _pending(shop)
    await until(lambda: _looks(faults), 1)
    await shop.carrier(refund_status="rejected")
    await carrier_decides(shop)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.PRE_TRANSIT)
    query = select(Ticket.id).where(Ticket.order_id == order_id, col(Ticket.resolved_at).is_(None))

    async def opened() -> int:
        async with shop.sessions() as session:
            return (await session.exec(query)).one_or_none() or 0

    async def is_open() -> bool:
        return await opened() > 0

    await until(is_open, True)
    wanted = Resolution(
        ticket_id=await opened(), decision=RepairDecision.MARK_DONE, by="alice", evidence="it is on the shelf"
    )
    assert (await handle.execute_update(OrderFulfillment.resolve, wanted)).accepted
    await usual_carrier(shop)
    return handle


async def a_void_that_nothing_waited_for(shop: Shop, faults: StepFaults) -> Handle:
    """On a worker of its own: the shop gives money back once the void is accepted."""
    generous = shop.settings.model_copy(update={"task_queue": secrets.token_hex(4), "void_settles": "accepted"})
    faults = StepFaults()
    async with (
        build_activities(generous) as activities,
        build_worker(shop.client, generous, activities, interceptors=[faults]),
    ):
        own = Shop(shop.stack, generous, shop.sessions, shop.client, shop.http)
        _, handle = await _pending(own)
        await until(lambda: _looks(faults), 1)
        await carrier_decides(shop)
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.CANCELED)
        await handle.result()
    return handle


async def recovery_that_waited_until_the_carrier_said_so(shop: Shop, faults: StepFaults) -> Handle:
    order_id, handle = await _pending(shop)
    await until(lambda: _looks(faults), 1)
    await handle.terminate("by mistake")
    assert await recover(shop, order_id, "its workflow is gone")
    recovery = shop.client.get_workflow_handle(f"order-{order_id}", result_type=OrderStatus)
    await until(lambda: _looks(faults), 2)
    await carrier_decides(shop)
    await recovery.signal(OrderFulfillment.parcel_changed, ParcelStatus.CANCELED)
    return recovery


async def _pending(shop: Shop) -> tuple[str, Handle]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.carrier(refund_delay=LATER)
    await handle.signal(OrderFulfillment.cancel_order)
    return order.order_id, handle


async def _looks(faults: StepFaults) -> int:
    return faults.finished.count("confirm_void")


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        a_void_that_was_pending_until_the_carrier_said_so,
        a_void_that_was_rejected_and_settled_by_a_person,
        a_void_that_nothing_waited_for,
        recovery_that_waited_until_the_carrier_said_so,
    )
}
