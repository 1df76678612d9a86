"""What takes minutes to weeks in an order's life, walked with skipped time, for the recorded histories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlmodel import col, select

from domain.commands import FulfillOrder, ParcelStatus
from domain.errors import OnItsWay, TryAgain
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from services.orders.book import OrderBook
from services.payments.undo_waits import note_wait
from services.tickets.tables import Ticket
from tests.recordings.payments import delivered
from tests.support.orders import Handle
from tests.support.timeless import Timeless
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Timeless], Awaitable[Handle]]

VISA, ASKS, DECLINES, REVIEWED = (
    "pm_card_visa",
    "pm_card_authenticationRequired",
    "pm_card_chargeDeclined",
    "pm_card_riskLevelElevated",
)


async def renewed_twice(timeless: Timeless) -> Handle:
    order = await _put(timeless)
    timeless.faults.before("keep_authorization", lambda: timeless.align_stripe(order.order_id))
    handle = await timeless.shop.start(order, ship_in=timedelta(days=14))
    return await delivered(timeless.shop, order, handle)


async def declined_at_a_renewal(timeless: Timeless) -> Handle:
    order = await _put(timeless)

    async def decline() -> None:
        card = (await timeless.shop.payment_intent(order.order_id))["payment_method"]
        await timeless.stripe(f"payment_methods/{card}", {"decline_code": "insufficient_funds"})

    timeless.faults.before("keep_authorization", decline)
    return await timeless.shop.start(order, ship_in=timedelta(days=14))


async def canceled_during_a_renewal(timeless: Timeless) -> Handle:
    order = await _put(timeless)

    async def cancel() -> None:
        await timeless.env.client.get_workflow_handle(f"order-{order.order_id}").signal("cancel_order")

    timeless.faults.before("keep_authorization", cancel)
    return await timeless.shop.start(order, ship_in=timedelta(days=14))


async def a_review_that_outlasted_the_money(timeless: Timeless) -> Handle:
    """The card was not kept: the hold cannot be renewed, and ends."""
    order = await _put(timeless, REVIEWED)
    timeless.faults.before("keep_authorization", lambda: timeless.align_stripe(order.order_id))
    return await timeless.shop.start(order)


async def nobody_offered_another_card(timeless: Timeless) -> Handle:
    order = await _put(timeless, DECLINES)
    return await timeless.shop.start(order.model_copy(update={"payment_retry_window": timedelta(hours=2)}))


async def the_customer_never_acted(timeless: Timeless) -> Handle:
    return await timeless.shop.start(await _put(timeless, ASKS))


async def waited_for_its_date(timeless: Timeless) -> Handle:
    order = await _put(timeless)
    return await delivered(timeless.shop, order, await timeless.shop.start(order, ship_in=timedelta(days=3)))


async def a_step_that_kept_failing(timeless: Timeless) -> Handle:
    timeless.faults.let_wait("capture_payment", timedelta(minutes=3), short=True)
    order = await _put(timeless)
    return await delivered(timeless.shop, order, await timeless.shop.start(order))


async def an_undo_that_kept_failing(timeless: Timeless) -> Handle:
    timeless.faults.let_wait("return_payment", timedelta(minutes=3))
    timeless.faults.hold("ship_order")
    handle = await timeless.shop.start(await _put(timeless))
    await timeless.faults.arrived("ship_order")
    await handle.signal(OrderFulfillment.cancel_order)
    timeless.faults.release("ship_order")
    return handle


async def an_undo_whose_refund_took_days(timeless: Timeless) -> Handle:
    """Nobody is called: whoever asks hears that the bank has time left."""
    timeless.faults.fail("return_payment", OnItsWay("the bank has it", delay=timedelta(hours=30)), times=2)
    timeless.faults.hold("ship_order")
    order = await _put(timeless)
    handle = await timeless.shop.start(order)
    await timeless.faults.arrived("ship_order")
    async with OrderBook(timeless.shop.sessions).locked(order.order_id) as locked:
        await note_wait(locked)
    await handle.signal(OrderFulfillment.cancel_order)
    timeless.faults.release("ship_order")
    return handle


async def a_local_step_whose_time_was_over(timeless: Timeless) -> Handle:
    """Fifteen minutes of trying in vain: what a customer waits for is given up."""
    timeless.faults.fail("authorize_payment", TryAgain("away", delay=timedelta(minutes=5)), times=9)
    return await timeless.shop.start(await _put(timeless))


async def a_refused_key_at_the_checkout(timeless: Timeless) -> Handle:
    await _accept_key(timeless, accept=False)
    order = await _put(timeless)
    handle = await timeless.shop.start(order)
    await until(lambda: _is_called(timeless, order), True, seconds=100)
    await _accept_key(timeless, accept=True)
    return await delivered(timeless.shop, order, handle)


async def found_by_asking_the_carrier(timeless: Timeless) -> Handle:
    timeless.faults.hold("check_shipment")
    order = await _put(timeless)
    handle = await timeless.shop.start(order)
    await timeless.faults.arrived("check_shipment")
    await timeless.shop.parcel(order.order_id, "delivered")
    timeless.faults.release("check_shipment")
    return handle


async def scanned_after_days(timeless: Timeless) -> Handle:
    order, handle = await _not_scanned(timeless)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: timeless.shop.status(order.order_id), OrderStatus.SHIPPED)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def a_missing_scan_made_up_for(timeless: Timeless) -> Handle:
    order, handle = await _not_scanned(timeless)
    async with timeless.shop.sessions() as session:
        ticket = (await session.exec(select(Ticket).where(Ticket.order_id == order.order_id))).one()
    assert ticket.id is not None
    wanted = Resolution(ticket_id=ticket.id, decision=RepairDecision.MARK_DONE, by="alice", evidence="pickup list 12")
    await handle.execute_update(OrderFulfillment.resolve, wanted)
    await until(lambda: timeless.shop.status(order.order_id), OrderStatus.SHIPPED)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def _put(timeless: Timeless, method: str = VISA) -> FulfillOrder:
    return await timeless.shop.put(await timeless.shop.product(), payment_method=method)


async def _not_scanned(timeless: Timeless) -> tuple[FulfillOrder, Handle]:
    order = await _put(timeless)
    handle = await timeless.shop.start(order)
    await until(lambda: _tickets(timeless, order), ["no_scan"], seconds=100)
    return order, handle


async def _tickets(timeless: Timeless, order: FulfillOrder) -> list[str]:
    """The kinds of the open ones."""
    query = select(Ticket.kind).where(Ticket.order_id == order.order_id, col(Ticket.resolved_at).is_(None))
    async with timeless.shop.sessions() as session:
        return list(await session.exec(query))


async def _is_called(timeless: Timeless, order: FulfillOrder) -> bool:
    """Whether the order has asked for a person, and was told that the ticket of the cause is open."""
    waits = (await timeless.shop.order(order.order_id)).waits_for
    return waits is not None and bool(waits["called"])


async def _accept_key(timeless: Timeless, *, accept: bool) -> None:
    await timeless.stripe("api_key", {"accept": accept, "status": 401})


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        renewed_twice,
        declined_at_a_renewal,
        canceled_during_a_renewal,
        a_review_that_outlasted_the_money,
        nobody_offered_another_card,
        the_customer_never_acted,
        waited_for_its_date,
        a_step_that_kept_failing,
        an_undo_that_kept_failing,
        an_undo_whose_refund_took_days,
        a_local_step_whose_time_was_over,
        a_refused_key_at_the_checkout,
        found_by_asking_the_carrier,
        scanned_after_days,
        a_missing_scan_made_up_for,
    )
}
