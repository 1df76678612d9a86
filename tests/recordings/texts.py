"""The ways of people's own words to an order, each walked by a real one, for the recorded histories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlmodel import col, select

from adapters.temporal.client import workflow_id
from domain.commands import CancelRequest, FulfillOrder, ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from domain.texts import TextKind
from services.texts import texts
from services.tickets.tables import Ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.reconciling import recover
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]


async def canceled_with_a_text(shop: Shop, faults: StepFaults) -> Handle:
    """As the API asks: the words are stored, their id travels."""
    order, handle = await _waiting(shop)
    async with shop.sessions() as session, session.begin():
        kind = TextKind.CANCEL_REASON
        text_id = await texts.keep(session, kind, "found it cheaper", order_id=order.order_id)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(by="customer", text_id=text_id))
    return handle


async def canceled_in_words_by_signal(shop: Shop, faults: StepFaults) -> Handle:
    """A second one comes in an object while the first is written down."""
    faults.hold("record_cancel_request")
    _, handle = await _waiting(shop)
    await handle.signal(OrderFulfillment.cancel_order, "changed my mind")
    await faults.arrived("record_cancel_request")
    await handle.signal(OrderFulfillment.cancel_order, {"reason": "really", "by": "ops"})
    faults.release("record_cancel_request")
    return handle


async def canceled_in_words_natively(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _waiting(shop)
    await handle.cancel(reason="changed my mind")
    return handle


async def canceled_in_words_that_were_hard_to_store(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("keep_text", TryAgain("the database is away"), times=2)
    _, handle = await _waiting(shop)
    await handle.signal(OrderFulfillment.cancel_order, "changed my mind")
    return handle


async def settled_in_words_by_update(shop: Shop, faults: StepFaults) -> Handle:
    """An operator decides without the API, and writes evidence and note into the update."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.FAILURE)
    query = select(Ticket.id).where(Ticket.order_id == order.order_id, col(Ticket.resolved_at).is_(None))

    async def opened() -> int:
        async with shop.sessions() as session:
            return (await session.exec(query)).one_or_none() or 0

    async def is_open() -> bool:
        return await opened() > 0

    await until(is_open, True)
    decision, by = RepairDecision.MARK_DONE, "alice"
    wanted = Resolution(ticket_id=await opened(), decision=decision, by=by, note="by phone", evidence="receipt 17")
    answer = await handle.execute_update(OrderFulfillment.resolve, wanted)
    assert answer.accepted, answer
    return handle


async def recovery_canceled_in_words(shop: Shop, faults: StepFaults) -> Handle:
    faults.hold("look_at_order")
    order = await shop.put(await shop.product())
    await recover(shop, order.order_id, "it was never started")
    recovery: Handle = shop.client.get_workflow_handle(workflow_id(order.order_id), result_type=OrderStatus)
    await faults.arrived("look_at_order")
    await recovery.signal(OrderFulfillment.cancel_order, "changed my mind")
    faults.release("look_at_order")
    return recovery


async def _waiting(shop: Shop) -> tuple[FulfillOrder, Handle]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    return order, handle


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        canceled_with_a_text,
        canceled_in_words_by_signal,
        canceled_in_words_natively,
        canceled_in_words_that_were_hard_to_store,
        settled_in_words_by_update,
        recovery_canceled_in_words,
    )
}
