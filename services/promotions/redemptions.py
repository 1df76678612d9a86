"""Codes that an order uses up: taken under the lock under which its stock is taken, given back when it ends undone.

Locks are taken in one order everywhere: the order, its stock, its coupons by code, their promotions. The codes' rows
are locked before anything is counted: a count that had begun before the lock would not see what others have taken.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.clock import now
from domain.errors import CouponRefused
from domain.events import EventName, PromotionExhaustedData
from services.outbox.events import new_event_id, outbox_row
from services.outbox.tables import OutboxEvent
from services.promotions.reading import exhausted, used_up

EVENT_SOURCE = "/promotions"

_LOCK = text("SELECT code FROM coupons WHERE code = ANY (:codes) ORDER BY code FOR UPDATE")
_TAKE = text("""
    WITH taken AS (
        UPDATE coupons SET used = used + 1
         WHERE code = ANY (:codes) AND (usage_limit IS NULL OR used < usage_limit)
           AND (per_customer IS NULL OR per_customer >
                (SELECT count(*) FROM coupon_redemptions AS held
                  WHERE held.code = coupons.code AND held.customer_id = :customer_id AND held.state = 'held'))
     RETURNING code, promotion_id, usage_limit, used
    ), held AS (
        INSERT INTO coupon_redemptions (order_id, code, customer_id, state, at)
        SELECT :order_id, code, :customer_id, 'held', :at FROM taken
    )
    SELECT code, promotion_id, usage_limit, used FROM taken ORDER BY promotion_id, code
""")
_IS_EXHAUSTED = text("SELECT used >= usage_limit FROM coupons WHERE code = :code")
_NEXT_EVENT = text("""
    UPDATE promotions SET event_sequence = event_sequence + 1 WHERE promotion_id = :promotion_id
 RETURNING event_sequence, name
""")
_GIVE_BACK = text("""
    WITH released AS (
        UPDATE coupon_redemptions SET state = 'released', at = :at WHERE order_id = :order_id AND state = 'held'
     RETURNING code
    )
    UPDATE coupons SET used = used - 1 FROM released WHERE coupons.code = released.code
""")


async def take(
    connection: AsyncConnection, order_id: str, customer_id: str, codes: Collection[str]
) -> list[OutboxEvent]:
    """Uses the codes up for the order, or none of them; the events to write with it.

    Raises CouponRefused where a limit is reached; then the caller has to roll back.
    """
    await connection.execute(_LOCK, {"codes": list(codes)})
    asked = {"order_id": order_id, "customer_id": customer_id, "codes": list(codes), "at": now()}
    taken = (await connection.execute(_TAKE, asked)).all()
    for code in sorted(set(codes) - {row.code for row in taken}):
        over = (await connection.execute(_IS_EXHAUSTED, {"code": code})).scalar_one_or_none()
        refused = exhausted(code) if over else used_up(code)
        raise CouponRefused(f"coupon_{refused.code}", refused.words)
    last = [row for row in taken if row.used == row.usage_limit]
    return [await _exhausted(connection, row.promotion_id, row.code, row.usage_limit) for row in last]


async def give_back(connection: AsyncConnection, order_id: str, codes: Collection[str]) -> None:
    """The order's codes can be used again; a repeat changes nothing."""
    await connection.execute(_LOCK, {"codes": list(codes)})
    await connection.execute(_GIVE_BACK, {"order_id": order_id, "at": now()})


async def _exhausted(connection: AsyncConnection, promotion_id: str, code: str, limit: int) -> OutboxEvent:
    row = (await connection.execute(_NEXT_EVENT, {"promotion_id": promotion_id})).one()
    data = PromotionExhaustedData(
        event_id=new_event_id(),
        event_type=EventName.PROMOTION_EXHAUSTED,
        timestamp=now(),
        promotion_id=promotion_id,
        name=row.name,
        code=code,
        usage_limit=limit,
    )
    return outbox_row(EVENT_SOURCE, promotion_id, row.event_sequence, data)
