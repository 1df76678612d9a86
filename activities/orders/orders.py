"""What the saga writes about an order as a whole: cancels that were asked for, and its end."""

from __future__ import annotations

from temporalio import activity

from domain.commands import CloseOrder, OrderClosed, OrderRef, RecordCancel
from domain.order_states import OrderStatus
from services.carts.giving_back import give_back
from services.identities.actors import Actors
from services.orders import ending
from services.orders.book import OrderBook
from services.orders.hurry import is_hurried
from services.orders.unproven import note_unproven


class Orders:
    """The steps that belong to no far end."""

    def __init__(self, book: OrderBook, actors: Actors) -> None:
        self._book, self._actors = book, actors

    @activity.defn
    async def may_ship_now(self, ref: OrderRef) -> bool:
        """Whether somebody who may has wished it: a signal by itself says nothing, and the timeline tells it."""
        async with self._book.locked(ref.order_id) as order:
            if not is_hurried(order):
                note_unproven(order, "ship_now", "passed over: a wish to ship at once that did not come by the API")
            return is_hurried(order)

    @activity.defn
    async def record_cancel_request(self, cancel: RecordCancel) -> None:
        """Notes who asked to cancel and why; once the cancel is granted, the order is CANCELING."""
        async with self._book.locked(cancel.order_id) as order:
            await ending.record_cancel_request(order, self._actors.recorded(cancel))

    @activity.defn
    async def record_cancel_refusal(self, cancel: RecordCancel) -> None:
        """Notes a cancel that was refused, and why."""
        async with self._book.locked(cancel.order_id) as order:
            await ending.record_cancel_refusal(order, self._actors.recorded(cancel))

    @activity.defn
    async def close_order(self, close: CloseOrder) -> OrderClosed:
        """The end of an order that was undone, REJECTED or CANCELED; answers which it became.

        A rejected order gives the cart back that it was placed from. Raises OurMistake while a step is done that was
        not undone.
        """
        async with self._book.locked(close.order_id) as order:
            status = await ending.close(order, self._actors.closing(close))
            if status is OrderStatus.REJECTED and order.row.cart_id is not None:
                await give_back(order)
            return OrderClosed(status=status)
