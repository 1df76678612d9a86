"""Stock of an order: reserved at checkout, given back when the order is undone."""

from __future__ import annotations

from temporalio import activity

from domain.commands import OrderRef
from domain.errors import OutOfStock
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.steps import RESERVE
from services.inventory import stock
from services.orders.book import OrderBook


class Inventory:
    def __init__(self, book: OrderBook) -> None:
        self._book = book

    @activity.defn
    async def reserve_inventory(self, ref: OrderRef) -> None:
        """Reserves every line, or nothing. Raises OutOfStock with the products that fall short."""
        async with self._book.locked(ref.order_id) as order:
            if order.step(RESERVE):
                return
            short = await stock.hold(order.session, ref.order_id, await order.lines())
            if short:
                raise OutOfStock(short)
            order.move(OrderStatus.RESERVED, "stock reserved")
            order.mark(RESERVE, "done")
            await order.emit(EventName.INVENTORY_RESERVED)

    @activity.defn
    async def release_inventory(self, ref: OrderRef) -> None:
        """Gives back what is held, and keeps a late attempt of `reserve_inventory` from holding it again."""
        async with self._book.locked(ref.order_id) as order:
            if order.state_of(RESERVE) == "undone" and not ref.look_again:
                return
            order.mark(RESERVE, "undone")
            if await stock.release(order.session, ref.order_id):
                order.note("stock released")
                await order.emit(EventName.INVENTORY_RELEASED)
