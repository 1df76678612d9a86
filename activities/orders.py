"""What the saga writes about an order as a whole: cancels that were asked for, and its end."""

from __future__ import annotations

from temporalio import activity

from adapters.order_book import OrderBook
from domain.commands import CloseOrder, RecordCancel
from domain.events import EventName
from domain.order_states import FINAL, OrderStatus


class Orders:
    def __init__(self, book: OrderBook) -> None:
        self._book = book

    @activity.defn
    async def record_cancel_request(self, cancel: RecordCancel) -> None:
        """Notes who asked to cancel and why; once the cancel is granted, the order is CANCELING."""
        async with self._book.locked(cancel.order_id) as order:
            asked, by = f"cancel_request_{cancel.number}", cancel.request.by
            if not order.step(asked):
                order.mark(asked, "done", {"reason": cancel.request.reason, "by": by})
                if cancel.code == "carrier_decides":
                    order.note(f"cancel requested, the carrier decides: {cancel.request.reason}", by=by)
                await order.emit(EventName.CANCEL_REQUESTED, reason=cancel.request.reason)
            if cancel.code != "carrier_decides" and order.status is not OrderStatus.CANCELING:
                order.move(OrderStatus.CANCELING, f"cancel accepted: {cancel.request.reason}", by=by)

    @activity.defn
    async def record_cancel_refusal(self, cancel: RecordCancel) -> None:
        async with self._book.locked(cancel.order_id) as order:
            refused = f"cancel_refusal_{cancel.number}"
            if order.step(refused):
                return
            order.mark(refused, "done", {"code": cancel.code})
            order.note(f"cancel refused: {cancel.code}", by=cancel.request.by)
            await order.emit(EventName.CANCEL_REFUSED, reason=cancel.code)

    @activity.defn
    async def close_order(self, close: CloseOrder) -> None:
        """The end of an order that was undone: CANCELED or REJECTED."""
        async with self._book.locked(close.order_id) as order:
            if order.status in FINAL:
                return
            rejected = close.status is OrderStatus.REJECTED
            order.row.refusal = {"code": close.code, "detail": close.detail} if rejected else None
            what = (
                f"rejected: {close.detail or close.code}" if rejected else f"canceled: {close.detail or close.code}"
            )
            order.move(close.status, what, by=close.by)
            await order.emit(EventName.ORDER_REJECTED if rejected else EventName.ORDER_CANCELED, reason=close.code)
