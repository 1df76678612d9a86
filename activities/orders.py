"""What the saga writes about an order as a whole: cancels that were asked for, and its end."""

from __future__ import annotations

from temporalio import activity

from adapters import cancel_wishes
from adapters.order_book import OrderBook
from domain.commands import CloseOrder, OrderClosed, RecordCancel
from domain.errors import OurMistake
from domain.events import EventName
from domain.order_states import FINAL, OrderStatus, allows
from domain.steps import AUTHORIZE, CAPTURE, RESERVE, SHIP

UNDONE_BEFORE_THE_END = (RESERVE, AUTHORIZE, SHIP, CAPTURE)


class Orders:
    def __init__(self, book: OrderBook) -> None:
        self._book = book

    @activity.defn
    async def record_cancel_request(self, cancel: RecordCancel) -> None:
        """Notes who asked to cancel and why; once the cancel is granted, the order is CANCELING."""
        async with self._book.locked(cancel.order_id) as order:
            by, reason = cancel.request.by, cancel.request.reason
            before = order.step(f"cancel_request_{cancel.number}")  # as it was noted before wishes had ids
            if not before and await cancel_wishes.request(order, cancel.wish_id, by, cancel.code):
                if cancel.code == "carrier_decides":
                    order.note(f"cancel requested, the carrier decides: {reason}", by=by)
                elif order.status is OrderStatus.CANCELING:
                    order.note(f"cancel joined: {reason}", by=by)
                await order.emit(EventName.CANCEL_REQUESTED, reason=reason)
            if cancel.code != "carrier_decides" and order.status is not OrderStatus.CANCELING:
                order.move(OrderStatus.CANCELING, f"cancel accepted: {reason}", by=by)

    @activity.defn
    async def record_cancel_refusal(self, cancel: RecordCancel) -> None:
        async with self._book.locked(cancel.order_id) as order:
            if not order.step(f"cancel_refusal_{cancel.number}"):  # as it was noted before wishes had ids
                await cancel_wishes.refuse(order, cancel.wish_id, cancel.request.by, cancel.code)

    @activity.defn
    async def close_order(self, close: CloseOrder) -> OrderClosed:
        """The end of an order that was undone, REJECTED or CANCELED; answers which it became.

        Raises OurMistake while a step is done that was not undone: an order never ends with stock, money or a label.

        An order that was confirmed cannot be REJECTED any more, also when the saga never heard of the confirmation
        because that answer was lost: it is CANCELED.
        """
        async with self._book.locked(close.order_id) as order:
            if order.status in FINAL:
                return OrderClosed(status=order.status)
            if standing := [step for step in UNDONE_BEFORE_THE_END if order.state_of(step) == "done"]:
                raise OurMistake(f"the order cannot end: {', '.join(standing)} was not undone")
            why = close.detail or close.code
            rejected = close.status is OrderStatus.REJECTED and allows(order.status, OrderStatus.REJECTED)
            if rejected:
                order.row.refusal = {"code": close.code, "detail": close.detail}
                order.move(OrderStatus.REJECTED, f"rejected: {why}", by=close.by)
            else:
                if order.status is not OrderStatus.CANCELING:
                    order.move(OrderStatus.CANCELING, why, by=close.by)
                order.move(OrderStatus.CANCELED, f"canceled: {why}", by=close.by)
            await order.emit(EventName.ORDER_REJECTED if rejected else EventName.ORDER_CANCELED, reason=close.code)
            return OrderClosed(status=order.status)
