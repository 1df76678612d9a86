"""Which orders that have not ended were not changed for a while, and which of them a person was called about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.order_states import FINAL, OrderStatus
from domain.recovery import OrderCursor
from domain.repairs import FOLLOW_PARCEL, STUCK_WORKFLOW_TASK
from services.orders.pages import OrderPages

OPEN = [status for status in OrderStatus if status not in FINAL]

# A parcel that a person gave up leaves its order SHIPPED for good.
_UNCHANGED = OrderPages(
    where="""
       AND (status <> 'SHIPPED' OR (
            SELECT true FROM tickets JOIN ticket_actions ON ticket_actions.ticket_id = tickets.id
             WHERE tickets.order_id = orders.order_id AND tickets.step = :parcel AND action = 'write_off'
             LIMIT 1) IS NULL)
"""
)

_CALLED_STUCK = """
    SELECT orders.order_id, orders.status, orders.updated_at FROM tickets JOIN orders USING (order_id)
     WHERE tickets.kind = :kind AND tickets.resolved_at IS NULL AND tickets.order_id > :after {only}
     ORDER BY tickets.order_id LIMIT :most
"""
_ALL_STUCK, _THESE_STUCK = (
    text(_CALLED_STUCK.format(only=only)) for only in ("", "AND tickets.order_id = ANY(:order_ids)")
)


@dataclass(frozen=True)
class UnchangedOrder:
    """An order as it was when it was read; `what` it still holds although it has ended."""

    order_id: str
    status: OrderStatus
    updated_at: datetime
    what: str = ""


async def unchanged(
    connection: AsyncConnection, before: datetime, after: OrderCursor, order_ids: Sequence[str], batch: int
) -> list[UnchangedOrder]:
    """A batch of orders that have not ended and were last changed before a time, the longest unchanged first."""
    rows = await _UNCHANGED.read(connection, OPEN, after, before, order_ids, batch, parcel=FOLLOW_PARCEL)
    return [UnchangedOrder(row.order_id, OrderStatus(row.status), row.updated_at) for row in rows]


async def called_stuck(
    connection: AsyncConnection, after: str, order_ids: Sequence[str], batch: int
) -> list[UnchangedOrder]:
    """A batch of the orders whose workflow task was found stuck, and not found well since; by id, after `after`."""
    asked = {"kind": STUCK_WORKFLOW_TASK, "after": after, "most": batch}
    if order_ids:
        rows = await connection.execute(_THESE_STUCK, asked | {"order_ids": list(order_ids)})
    else:
        rows = await connection.execute(_ALL_STUCK, asked)
    return [UnchangedOrder(row.order_id, OrderStatus(row.status), row.updated_at) for row in rows]
