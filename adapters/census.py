"""What the books say of the shop as a whole: how many orders are where, and what waits for somebody.

Each reading is seven short statements without locks. The counts of backlogs end at `MOST`, so that a backlog of
millions does not make its own reading slow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.order_states import OrderStatus

MOST = 100_000

_ORDERS = text("""
    SELECT status, count(*) AS orders, EXTRACT(EPOCH FROM now() - min(created_at)) AS age
      FROM orders GROUP BY status
""")
_TICKETS = text("""
    SELECT regexp_replace(step, '^refund.*', 'refund') AS step, kind, count(*) AS tickets
      FROM tickets WHERE resolved_at IS NULL GROUP BY 1, kind
""")
# Money that belongs to no order of ours needs a person as much as an order does.
_FLAGGED = text("""
    SELECT count(DISTINCT order_id) + count(*) FILTER (WHERE order_id IS NULL) FROM tickets WHERE resolved_at IS NULL
""")
_OUTBOX = text("""
    SELECT (SELECT count(*)
              FROM (SELECT FROM outbox WHERE published_at IS NULL LIMIT :most) AS waiting) AS events,
           (SELECT EXTRACT(EPOCH FROM now() - time)
              FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT 1) AS age
""")
_INBOX = text("""
    SELECT source, count(*) AS events, EXTRACT(EPOCH FROM now() - min(received_at)) AS age
      FROM (SELECT source, received_at FROM webhook_inbox
             WHERE processed_at IS NULL ORDER BY received_at LIMIT :most) AS waiting
     GROUP BY source
""")

_WAITING = text("""
    SELECT cause, count(*) AS orders
      FROM (SELECT waits_for ->> 'cause' AS cause FROM orders WHERE waits_for IS NOT NULL LIMIT :most) AS waiting
     GROUP BY cause
""")
_BRAKE = text("SELECT EXISTS (SELECT FROM brake_pulls WHERE released_at IS NULL)")

UNANSWERED = (OrderStatus.PLACED, OrderStatus.RESERVED)


@dataclass(frozen=True)
class Backlog:
    count: int = 0
    age: float = 0.0  # of the oldest, in seconds


@dataclass(frozen=True)
class Census:
    orders: dict[OrderStatus, int]
    unanswered_age: float  # seconds since the oldest checkout that has no answer yet
    flagged: int = 0  # orders with an open ticket, and open tickets of no order
    tickets: dict[tuple[str, str], int] = field(default_factory=dict)  # by step and kind
    outbox: Backlog = Backlog()
    inbox: dict[str, Backlog] = field(default_factory=dict)  # by source
    waiting: dict[str, int] = field(default_factory=dict)  # orders that wait for a fault of ours, by its cause
    brake_on: bool = False


async def take(reads: AsyncEngine) -> Census:
    """Reads the books now."""
    async with reads.connect() as connection:
        rows = {row.status: row for row in await connection.execute(_ORDERS)}
        tickets = (await connection.execute(_TICKETS)).all()
        flagged = (await connection.execute(_FLAGGED)).scalar_one()
        return Census(
            orders={status: rows[status].orders if status in rows else 0 for status in OrderStatus},
            unanswered_age=max((float(rows[status].age) for status in UNANSWERED if status in rows), default=0.0),
            flagged=flagged,
            tickets={(row.step, row.kind): row.tickets for row in tickets},
            outbox=await _outbox(connection),
            inbox=await _inbox(connection),
            waiting={row.cause: row.orders for row in await connection.execute(_WAITING, {"most": MOST})},
            brake_on=(await connection.execute(_BRAKE)).scalar_one(),
        )


async def _outbox(connection: AsyncConnection) -> Backlog:
    row = (await connection.execute(_OUTBOX, {"most": MOST})).one()
    return Backlog(row.events, float(row.age or 0))


async def _inbox(connection: AsyncConnection) -> dict[str, Backlog]:
    rows = await connection.execute(_INBOX, {"most": MOST})
    return {row.source: Backlog(row.events, float(row.age)) for row in rows}
