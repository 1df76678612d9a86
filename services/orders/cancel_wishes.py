"""The wishes to cancel an order, each recorded once, whatever way and however often it came.

Equal refusals of one order share one row of its timeline, and one event: how often is counted here. So a client that
asks a thousand times makes the timeline and the outbox no longer.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import select

from adapters.clock import now
from adapters.postgres.database import Sessions
from domain.cancellation import TABLE
from domain.commands import NO_REASON, CancelRequest
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.texts import TextKind
from services.orders.book import LockedOrder, OrderBook
from services.orders.tables import CancelWish
from services.texts import texts

UNDECIDED = TABLE[OrderStatus.READY_TO_SHIP].code


async def request(order: LockedOrder, wish_id: str, by: str, code: str) -> bool:
    """Records a wish that is granted, or that the carrier decides; False when it was recorded before."""
    wish = await _wish(order, wish_id)
    if wish is None:
        order.session.add(_new(order, wish_id, by, code))
        return True
    if wish.code == UNDECIDED:
        wish.code = code
    return False


async def refuse(order: LockedOrder, wish_id: str, by: str, code: str) -> None:
    """Records a wish that is refused; the first one with this code in the timeline, too."""
    wish = await _wish(order, wish_id)
    if wish is not None and wish.code != UNDECIDED:
        return
    equal = select(CancelWish.wish_id).where(CancelWish.order_id == order.row.order_id, CancelWish.code == code)
    first = (await order.session.exec(equal.limit(1))).first() is None
    if wish is None:
        order.session.add(_new(order, wish_id, by, code))
    else:
        wish.code = code
    if first:
        order.note(f"cancel refused: {code}", by=by)
        order.emit(EventName.CANCEL_REFUSED, reason=code)


async def refuse_by_row(
    writes: AsyncEngine, book: OrderBook, order_id: str, wish_id: str, by: str, code: str
) -> None:
    """Records a wish that needed no decision of the workflow. Only the first of its code takes the order's lock.

    `writes` commits each statement by itself.
    """
    wish = {"order_id": order_id, "wish_id": wish_id, "by": by, "code": code, "at": now(), "undecided": UNDECIDED}
    async with writes.connect() as connection:
        equal = (await connection.execute(_COUNT_AN_EQUAL_REFUSAL, wish)).scalar_one()
    if not equal:
        async with book.locked(order_id) as order:
            await refuse(order, wish_id, by, code)


# The order's row is locked before the wish is inserted, as the saga's steps do it, and not after it by the foreign
# key: two that record the same wish would wait for each other.
_COUNT_AN_EQUAL_REFUSAL = text("""
    WITH locked AS (
        SELECT order_id FROM orders WHERE order_id = :order_id FOR KEY SHARE
    ), equal AS (
        SELECT 1 FROM cancel_wishes WHERE order_id = :order_id AND code = :code LIMIT 1
    ), counted AS (
        INSERT INTO cancel_wishes (order_id, wish_id, by, code, at)
        SELECT order_id, :wish_id, :by, :code, :at FROM locked WHERE EXISTS (SELECT 1 FROM equal)
        ON CONFLICT (order_id, wish_id) DO UPDATE SET code = excluded.code WHERE cancel_wishes.code = :undecided
    )
    SELECT count(*) FROM equal
""")


async def without_words(sessions: Sessions, order_id: str, request: CancelRequest) -> CancelRequest:
    """The wish with the customer's own words stored as a text, and the text's id instead. A repeat stores nothing."""
    if not request.words:
        return request
    text_id = texts.id_of(order_id, f"wish {request.wish_id}")
    async with sessions() as session, session.begin():
        kind = TextKind.CANCEL_REASON
        await texts.keep(session, kind, request.words, order_id=order_id, text_id=text_id)
    return request.model_copy(update={"reason": NO_REASON, "text_id": text_id})


async def _wish(order: LockedOrder, wish_id: str) -> CancelWish | None:
    return await order.session.get(CancelWish, (order.row.order_id, wish_id))


def _new(order: LockedOrder, wish_id: str, by: str, code: str) -> CancelWish:
    return CancelWish(order_id=order.row.order_id, wish_id=wish_id, by=by, code=code, at=now())
