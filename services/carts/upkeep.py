"""What time does to carts: those that nobody comes back to are told, expire, and leave; each a batch at a time.

Several relays share the work: a row that another one has locked is passed over, and so is a cart in use.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now
from adapters.postgres.rows import parsed
from domain.carts import CartState, Lives
from services.carts import events
from services.carts.book import contents_of

_LEFT = text("""
    SELECT row_to_json(carts)::text FROM carts
     WHERE state = 'open' AND currency IS NOT NULL AND abandoned_at IS NULL AND touched_at < :before
     ORDER BY touched_at LIMIT :most FOR UPDATE SKIP LOCKED
""")
_OVER = """
    UPDATE carts SET state = 'expired', version = version + 1
     WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM carts WHERE state = 'open' AND {kind} AND touched_at < :before
            ORDER BY touched_at LIMIT :most FOR UPDATE SKIP LOCKED))
"""
_GUESTS = text(_OVER.format(kind="customer_id IS NULL"))
_CUSTOMERS = text(_OVER.format(kind="customer_id IS NOT NULL"))
_EMPTY = text(_OVER.format(kind="currency IS NULL"))
_ENDED = text("""
    WITH ended AS (
        SELECT cart_id FROM carts WHERE state = :state AND touched_at < :before
         ORDER BY touched_at LIMIT :most FOR UPDATE SKIP LOCKED
    ), lines AS (DELETE FROM cart_lines USING ended WHERE cart_lines.cart_id = ended.cart_id),
       operations AS (DELETE FROM cart_operations USING ended WHERE cart_operations.cart_id = ended.cart_id)
    DELETE FROM carts USING ended WHERE carts.cart_id = ended.cart_id
""")
_KEYS = text("""
    DELETE FROM cart_operations
     WHERE ctid = ANY(ARRAY(SELECT ctid FROM cart_operations WHERE at < :before
                             ORDER BY at LIMIT :most FOR UPDATE SKIP LOCKED))
""")


class OldCarts:
    """Of all carts; each method does one batch."""

    def __init__(self, engine: AsyncEngine, lives: Lives, ended: timedelta, keys: timedelta) -> None:
        """`ended`: for how long expired and merged carts stay; `keys`: the same for the keys of changes."""
        self._engine, self._lives, self._ended, self._keys = engine, lives, ended, keys

    async def tell_abandoned(self, most: int) -> int:
        """Writes a CartAbandoned for carts that nobody touches, once for each; how many."""
        at = now()
        async with self._engine.begin() as connection:
            asked = {"before": self._lives.bounds(at).abandoned, "most": most}
            rows = (await connection.execute(_LEFT, asked)).scalars().all()
            for cart in await contents_of(connection, map(parsed, rows)):
                cart.row.abandoned_at = at
                cart.tell(events.abandoned(cart.row, cart.lines))
                await cart.write()
        return len(rows)

    async def expire(self, most: int) -> int:
        """Ends carts whose time is over, at most `most` of each kind; how many."""
        bounds = self._lives.bounds(now())
        kinds = ((_EMPTY, bounds.empty), (_GUESTS, bounds.guest), (_CUSTOMERS, bounds.customer))
        return max([await self._alone(statement, before=before, most=most) for statement, before in kinds])

    async def delete_ended(self, most: int) -> int:
        """Deletes what expired, or was merged, long ago, at most `most` of each; how many. Ordered carts stay."""
        before = now() - self._ended
        states = (CartState.EXPIRED, CartState.MERGED)
        return max([await self._alone(_ENDED, state=state.value, before=before, most=most) for state in states])

    async def forget_keys(self, most: int) -> int:
        """Deletes the keys of changes that nobody repeats any more; how many."""
        return await self._alone(_KEYS, before=now() - self._keys, most=most)

    async def _alone(self, statement: TextClause, **asked: object) -> int:
        async with self._engine.begin() as connection:
            return (await connection.execute(statement, asked)).rowcount
