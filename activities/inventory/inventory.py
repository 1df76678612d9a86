"""Stock of an order: reserved at checkout, given back when the order is undone."""

from __future__ import annotations

from temporalio import activity

from domain.commands import OrderRef
from services.inventory import reservations
from services.orders.book import OrderBook


class Inventory:
    """The step that reserves an order's stock, and its undo."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book

    @activity.defn
    async def reserve_inventory(self, ref: OrderRef) -> None:
        """Reserves every line, or nothing. Raises OutOfStock with the products that fall short."""
        async with self._book.locked(ref.order_id) as order:
            await reservations.reserve(order)

    @activity.defn
    async def release_inventory(self, ref: OrderRef) -> None:
        """Gives back what is held, and keeps a late attempt of `reserve_inventory` from holding it again."""
        async with self._book.locked(ref.order_id) as order:
            await reservations.release(order, look_again=ref.look_again)
