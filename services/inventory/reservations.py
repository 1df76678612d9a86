"""An order's reservation: stock, status, timeline, fence and event in one transaction, under the order's lock."""

from __future__ import annotations

from domain.errors import OutOfStock
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.steps import RESERVE, FenceState
from services.inventory import stock
from services.orders.book import LockedOrder


async def reserve(order: LockedOrder) -> None:
    """Reserves every line, or nothing; a repeat writes nothing.

    Raises OutOfStock with the products that fall short, StepUndone where `release` came first. After an error the
    caller has to roll back.
    """
    order.require_not_undone(RESERVE)
    if order.fence(RESERVE):
        return
    short = await stock.hold(order.session, order.row.order_id, await order.lines())
    if short:
        raise OutOfStock(short)
    order.move(OrderStatus.RESERVED, "stock reserved")
    order.mark(RESERVE, FenceState.DONE)
    await order.emit(EventName.INVENTORY_RESERVED)


async def release(order: LockedOrder, *, look_again: bool = False) -> None:
    """Gives back what the order holds, and keeps a late attempt of `reserve` from holding it again.

    With `look_again` also what is held although it was given back once.
    """
    if order.state_of(RESERVE) is FenceState.UNDONE and not look_again:
        return
    order.mark(RESERVE, FenceState.UNDONE)
    if await stock.release(order.session, order.row.order_id):
        order.note("stock released")
        await order.emit(EventName.INVENTORY_RELEASED)
