"""What our own faults do to an order, walked with skipped time, for the recorded histories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlmodel import col, select

from domain.commands import CancelRequest, FulfillOrder
from domain.errors import OurFault, OurMistake
from services.brake import brake
from services.brake.tables import BrakePull, EndByOurFault
from services.tickets.tables import Ticket
from tests.recordings.payments import delivered
from tests.support.orders import Handle
from tests.support.timeless import Timeless
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Timeless], Awaitable[Handle]]

FAULT = OurFault("no funds", far_end="carrier", cause="carrier HTTP 402 PAYMENT_REQUIRED")
MISTAKE = OurMistake("the parameters are wrong")
LONG = 100  # tries


async def our_fault_mended_after_the_confirmation(timeless: Timeless) -> Handle:
    timeless.faults.fail("ship_order", FAULT, times=6)
    order, handle = await _started(timeless)
    return await delivered(timeless.shop, order, handle)


async def our_fault_not_mended_in_time(timeless: Timeless) -> Handle:
    timeless.faults.fail("authorize_payment", FAULT, times=LONG)
    _, handle = await _started(timeless)
    return handle


async def our_mistake_mended_after_the_confirmation(timeless: Timeless) -> Handle:
    timeless.faults.fail("capture_payment", MISTAKE, times=3)
    order, handle = await _started(timeless)
    return await delivered(timeless.shop, order, handle)


async def canceled_while_our_mistake_waited(timeless: Timeless) -> Handle:
    timeless.faults.fail("capture_payment", MISTAKE, times=LONG)
    order, handle = await _started(timeless)
    await until(lambda: _is_called(timeless, order), True)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too slow"))
    return handle


async def turned_back_by_our_mistake(timeless: Timeless) -> Handle:
    timeless.faults.fail("authorize_payment", MISTAKE)
    _, handle = await _started(timeless)
    return handle


async def held_by_the_brake_and_tried_again(timeless: Timeless) -> Handle:
    order, handle = await _held(timeless)
    await _release(timeless)
    return await delivered(timeless.shop, order, handle)


async def canceled_while_the_brake_held_it(timeless: Timeless) -> Handle:
    _, handle = await _held(timeless)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too slow"))
    await _release(timeless)
    return handle


async def _started(timeless: Timeless) -> tuple[FulfillOrder, Handle]:
    order = await timeless.shop.put(await timeless.shop.product())
    return order, await timeless.shop.start(order)


async def _held(timeless: Timeless) -> tuple[FulfillOrder, Handle]:
    async with timeless.shop.sessions() as session, session.begin():
        session.add(BrakePull(why="10 orders would end by our own fault"))
    timeless.faults.fail("authorize_payment", MISTAKE)
    order, handle = await _started(timeless)

    async def is_held() -> bool:
        async with timeless.shop.sessions() as session:
            end = await session.get(EndByOurFault, (order.order_id, 1))
            return end is not None and end.pull_id is not None

    await until(is_held, True)
    return order, handle


async def _release(timeless: Timeless) -> None:
    async with timeless.shop.sessions() as session, session.begin():
        await brake.release(session, "alice", "mended")


async def _is_called(timeless: Timeless, order: FulfillOrder) -> bool:
    async with timeless.shop.sessions() as session:
        tickets = select(Ticket.id).where(Ticket.order_id == order.order_id, col(Ticket.resolved_at).is_(None))
        return (await session.exec(tickets)).first() is not None


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        our_fault_mended_after_the_confirmation,
        our_fault_not_mended_in_time,
        our_mistake_mended_after_the_confirmation,
        canceled_while_our_mistake_waited,
        turned_back_by_our_mistake,
        held_by_the_brake_and_tried_again,
        canceled_while_the_brake_held_it,
    )
}
