"""What the books say of the shop as a whole: how many orders are under way, and what waits for somebody.

Each reading costs the same in a shop of any age: every statement reads a range of an index that only what is under
way is in, and none counts beyond `MOST`. So orders that have ended are not counted here; the worker counts them as
they end (`ordersaga_orders_closed`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.order_states import FINAL, OrderStatus

MOST = 20_000

# Each status is a range of an index (status, ...), and the counted ones need no look into the table itself.
_ORDERS = text("""
    SELECT wanted.status, orders
      FROM unnest(CAST(:open AS text[])) AS wanted (status)
     CROSS JOIN LATERAL (SELECT count(*) AS orders FROM (
           SELECT FROM orders WHERE orders.status = wanted.status LIMIT :most) AS some_of_them) AS counted
""")
_UNANSWERED = text("""
    SELECT EXTRACT(EPOCH FROM now() - min(created_at))
      FROM unnest(CAST(:unanswered AS text[])) AS wanted (status)
     CROSS JOIN LATERAL (SELECT created_at FROM orders
                          WHERE orders.status = wanted.status ORDER BY created_at LIMIT 1) AS oldest
""")
_TICKETS = text("""
    SELECT regexp_replace(step, '^refund.*', 'refund') AS step, kind, count(*) AS tickets
      FROM (SELECT step, kind FROM tickets WHERE resolved_at IS NULL LIMIT :most) AS open
     GROUP BY 1, kind
""")
# Money that belongs to no order of ours needs a person as much as an order does.
_FLAGGED = text("""
    SELECT count(DISTINCT order_id) + count(*) FILTER (WHERE order_id IS NULL)
      FROM (SELECT order_id FROM tickets WHERE resolved_at IS NULL LIMIT :most) AS open
""")
_OUTBOX = text("""
    SELECT (SELECT count(*)
              FROM (SELECT FROM outbox WHERE published_at IS NULL AND parked_at IS NULL LIMIT :most) AS waiting
           ) AS events,
           (SELECT EXTRACT(EPOCH FROM now() - time)
              FROM outbox WHERE published_at IS NULL AND parked_at IS NULL ORDER BY id LIMIT 1) AS age,
           (SELECT count(*)
              FROM (SELECT FROM outbox WHERE parked_at IS NOT NULL LIMIT :most) AS held) AS parked
""")
_INBOX = text("""
    SELECT source, count(*) AS events, EXTRACT(EPOCH FROM now() - min(received_at)) AS age
      FROM (SELECT source, received_at FROM webhook_inbox
             WHERE processed_at IS NULL ORDER BY received_at LIMIT :most) AS waiting
     GROUP BY source
""")

_CONSUMERS = text("""
    SELECT consumer, sum(lag) AS lag, coalesce(EXTRACT(EPOCH FROM now() - min(behind_since)), 0) AS behind,
           EXTRACT(EPOCH FROM now() - min(seen_at)) AS silence
      FROM consumer_positions GROUP BY consumer
""")
_DEAD = text("""
    SELECT consumer, count(*) AS events
      FROM (SELECT consumer FROM dead_letters WHERE resolved_at IS NULL LIMIT :most) AS waiting
     GROUP BY consumer
""")
# What waits for an endpoint that is disabled is nobody's delay.
_DELIVERIES = text("""
    SELECT count(*) AS deliveries, EXTRACT(EPOCH FROM now() - min(created_at)) AS age
      FROM (SELECT waiting.created_at FROM webhook_endpoints AS endpoint
             CROSS JOIN LATERAL (
                   SELECT created_at FROM webhook_deliveries AS mine
                    WHERE mine.endpoint_id = endpoint.endpoint_id AND mine.ended_at IS NULL
                    ORDER BY mine.due_at LIMIT :most) AS waiting
             WHERE endpoint.state = 'active' AND endpoint.deleted_at IS NULL LIMIT :most) AS waiting
""")
_ENDPOINTS = text("""
    SELECT count(*) FILTER (WHERE state = 'active' AND failures = 0) AS well,
           count(*) FILTER (WHERE state = 'active' AND failures > 0) AS failing,
           count(*) FILTER (WHERE disabled_because IN ('failures', 'gone')) AS disabled
      FROM webhook_endpoints WHERE deleted_at IS NULL
""")
_WAITING = text("""
    SELECT cause, count(*) AS orders
      FROM (SELECT waits_for ->> 'cause' AS cause FROM orders WHERE waits_for IS NOT NULL LIMIT :most) AS waiting
     GROUP BY cause
""")
_BRAKE = text("SELECT EXISTS (SELECT FROM brake_pulls WHERE released_at IS NULL)")

OPEN = [status for status in OrderStatus if status not in FINAL]
UNANSWERED = [OrderStatus.PLACED, OrderStatus.RESERVED]


@dataclass(frozen=True)
class Backlog:
    """Events that wait to be published or followed up."""

    count: int = 0
    age: float = 0.0  # of the oldest, in seconds


@dataclass(frozen=True)
class ConsumerState:
    """How a consumer of events gets on, over all its partitions."""

    lag: int = 0  # positions of the stream that it has not reached
    behind: float = 0.0  # seconds since it was at the end of every partition; 0 while it is
    silence: float = 0.0  # seconds since the owner of some partition last said how it is
    dead: int = 0  # events that it could not apply and nobody has seen to


@dataclass(frozen=True)
class Census:
    """One reading of the books; counts end at `MOST`."""

    orders: dict[OrderStatus, int]  # that have not ended
    unanswered_age: float  # seconds since the oldest checkout that has no answer yet
    flagged: int = 0  # orders with an open ticket, and open tickets of no order
    tickets: dict[tuple[str, str], int] = field(default_factory=dict)  # by step and kind
    outbox: Backlog = Backlog()
    parked: int = 0  # events that the broker refused, and those that wait behind them
    inbox: dict[str, Backlog] = field(default_factory=dict)  # by source
    waiting: dict[str, int] = field(default_factory=dict)  # orders that wait for a fault of ours, by its cause
    brake_on: bool = False
    consumers: dict[str, ConsumerState] = field(default_factory=dict)  # of events, by name
    deliveries: Backlog = Backlog()  # of webhooks to merchants
    endpoints: dict[str, int] = field(default_factory=dict)  # of merchants: well, failing, disabled by failures


async def take(reads: AsyncEngine) -> Census:
    """Reads the books now."""
    async with reads.connect() as connection:
        return await read(connection)


async def read(connection: AsyncConnection, most: int = MOST) -> Census:
    """The same on an open connection; no count goes beyond `most`."""
    up_to = {"most": most}
    orders = (await connection.execute(_ORDERS, {"open": OPEN} | up_to)).all()
    tickets = (await connection.execute(_TICKETS, up_to)).all()
    return Census(
        orders={OrderStatus(row.status): row.orders for row in orders},
        unanswered_age=float((await connection.execute(_UNANSWERED, {"unanswered": UNANSWERED})).scalar_one() or 0),
        flagged=(await connection.execute(_FLAGGED, up_to)).scalar_one(),
        tickets={(row.step, row.kind): row.tickets for row in tickets},
        **await _outbox(connection, up_to),
        inbox=await _inbox(connection, up_to),
        waiting={row.cause: row.orders for row in await connection.execute(_WAITING, up_to)},
        brake_on=(await connection.execute(_BRAKE)).scalar_one(),
        consumers=await _consumers(connection, up_to),
        **await _merchants(connection, up_to),
    )


async def _merchants(connection: AsyncConnection, up_to: dict[str, int]) -> dict[str, Any]:
    waiting = (await connection.execute(_DELIVERIES, up_to)).one()
    endpoints = (await connection.execute(_ENDPOINTS)).one()
    return {"deliveries": Backlog(waiting.deliveries, float(waiting.age or 0)), "endpoints": endpoints._asdict()}


async def _consumers(connection: AsyncConnection, up_to: dict[str, int]) -> dict[str, ConsumerState]:
    dead = {row.consumer: row.events for row in await connection.execute(_DEAD, up_to)}
    rows = await connection.execute(_CONSUMERS)
    return {
        row.consumer: ConsumerState(int(row.lag), float(row.behind), float(row.silence), dead.get(row.consumer, 0))
        for row in rows
    }


async def _outbox(connection: AsyncConnection, up_to: dict[str, int]) -> dict[str, Any]:
    row = (await connection.execute(_OUTBOX, up_to)).one()
    return {"outbox": Backlog(row.events, float(row.age or 0)), "parked": row.parked}


async def _inbox(connection: AsyncConnection, up_to: dict[str, int]) -> dict[str, Backlog]:
    rows = await connection.execute(_INBOX, up_to)
    return {row.source: Backlog(row.events, float(row.age)) for row in rows}
