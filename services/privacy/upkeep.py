"""What time and a change of keys do to personal data: sealed, wrapped anew, forgotten when its term ends."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.clock import now
from services.privacy import backfill
from services.privacy.erasure import forget_accounting
from services.sealing import sealing

BATCH = 200

_TO_FORGET = text("""
    SELECT customer_id FROM customer_keys
     WHERE due_at <= :now AND purpose = 'accounting' AND wrapped IS NOT NULL
     ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED
""")


async def work_once(engine: AsyncEngine) -> int:
    """A batch of each kind, each in a transaction of its own; how many rows were changed."""
    done = 0
    for step in (forget_due, sealing.rewrap, backfill.seal_customers, backfill.seal_orders, backfill.seal_texts):
        async with engine.begin() as connection:
            done += await step(connection)
    return done


async def forget_due(connection: AsyncConnection, most: int = BATCH) -> int:
    """Destroys the accounting keys whose term is over, and what they have sealed."""
    found = list((await connection.execute(_TO_FORGET, {"now": now(), "most": most})).scalars())
    for customer_id in found:
        await forget_accounting(connection, customer_id)
    return len(found)
