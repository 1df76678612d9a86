"""How an order comes to its end before the delivery: a cancel that was asked for, and its last row."""

from __future__ import annotations

from typing import NamedTuple

from domain.commands import NO_REASON, CloseOrder, RecordCancel
from domain.errors import OurMistake
from domain.events import EventName
from domain.order_states import FINAL, OrderStatus, allows
from domain.steps import AUTHORIZE, CAPTURE, RESERVE, SHIP, FenceState
from domain.texts import PLACE, TextKind
from services.orders import cancel_wishes
from services.orders.book import LockedOrder
from services.promotions import redemptions
from services.texts import texts

UNDONE_BEFORE_THE_END = (RESERVE, AUTHORIZE, SHIP, CAPTURE)


class Reason(NamedTuple):
    """Why an order is canceled: words of ours, or a person's, of which only the id is told."""

    ours: str
    text_id: str | None = None

    @property
    def words(self) -> str:
        """For the timeline, which quotes `texts`."""
        return PLACE if self.text_id else self.ours

    @property
    def texts(self) -> list[str]:
        """The ids of what the timeline quotes."""
        return [self.text_id] if self.text_id else []

    @property
    def code(self) -> str | None:
        """For events, which name a text and do not quote it."""
        return None if self.text_id else self.ours


async def record_cancel_request(order: LockedOrder, cancel: RecordCancel) -> None:
    """Notes who asked to cancel and why; once it is granted, the order is CANCELING. A repeat writes nothing."""
    by, why = cancel.request.by, await _reason_of(order, cancel)
    before = order.fence(f"cancel_request_{cancel.number}")  # as it was noted before wishes had ids
    if not before and await cancel_wishes.request(order, cancel.wish_id, by, cancel.code):
        if cancel.code == "carrier_decides":
            order.note(f"cancel requested, the carrier decides: {why.words}", by=by, texts=why.texts)
        elif order.status is OrderStatus.CANCELING:
            order.note(f"cancel joined: {why.words}", by=by, texts=why.texts)
        order.emit(EventName.CANCEL_REQUESTED, reason=why.code, reason_id=why.text_id)
    if cancel.code != "carrier_decides" and order.status is not OrderStatus.CANCELING:
        order.move(OrderStatus.CANCELING, f"cancel accepted: {why.words}", by=by, texts=why.texts)


async def record_cancel_refusal(order: LockedOrder, cancel: RecordCancel) -> None:
    """Notes a cancel that was refused. A repeat writes nothing."""
    if not order.fence(f"cancel_refusal_{cancel.number}"):  # as it was noted before wishes had ids
        await cancel_wishes.refuse(order, cancel.wish_id, cancel.request.by, cancel.code)


async def close(order: LockedOrder, wanted: CloseOrder) -> OrderStatus:
    """The end of an order that was undone, REJECTED or CANCELED; returns which it became.

    Raises OurMistake while a step is done that was not undone: an order never ends with stock, money or a label.

    An order that was confirmed cannot be REJECTED any more, also when the saga never heard of the confirmation
    because that answer was lost: it is CANCELED.
    """
    if order.status in FINAL:
        return order.status
    if standing := [step for step in UNDONE_BEFORE_THE_END if order.state_of(step) is FenceState.DONE]:
        raise OurMistake(f"the order cannot end: {', '.join(standing)} was not undone")
    if order.row.coupon_codes:
        await redemptions.give_back(order.connection, order.row.order_id, order.row.coupon_codes)
    why = await _end_of(order, wanted)
    rejected = wanted.status is OrderStatus.REJECTED and allows(order.status, OrderStatus.REJECTED)
    if rejected:
        order.row.refusal = {"code": wanted.code, "detail": NO_REASON if why.texts else wanted.detail}
        order.move(OrderStatus.REJECTED, f"rejected: {why.words}", by=wanted.by, texts=why.texts)
    else:
        if order.status is not OrderStatus.CANCELING:
            order.move(OrderStatus.CANCELING, why.words, by=wanted.by, texts=why.texts)
        order.move(OrderStatus.CANCELED, f"canceled: {why.words}", by=wanted.by, texts=why.texts)
    order.emit(EventName.ORDER_REJECTED if rejected else EventName.ORDER_CANCELED, reason=wanted.code)
    return order.status


async def _reason_of(order: LockedOrder, cancel: RecordCancel) -> Reason:
    """Requests are numbered from 1; 0 is the saga's own."""
    request = cancel.request
    if cancel.number == 0:
        return Reason(request.reason)
    return await _reason(order, request.reason, request.text_id, f"cancel_request_{cancel.number}")


async def _end_of(order: LockedOrder, wanted: CloseOrder) -> Reason:
    if wanted.code != "canceled" or not wanted.detail:  # ours: what went wrong
        return Reason(wanted.detail or wanted.code)
    return await _reason(order, wanted.detail, wanted.text_id, "close_order")


async def _reason(order: LockedOrder, words: str, text_id: str | None, name: str) -> Reason:
    """What a workflow of an older version still sends in a person's own words becomes a text here."""
    if text_id is None and words != NO_REASON:
        id_ = texts.id_of(order.row.order_id, name)
        kind, order_id = TextKind.CANCEL_REASON, order.row.order_id
        text_id = await texts.keep(order.session, kind, words, order_id=order_id, text_id=id_)
    return Reason(words, text_id)
