"""Which orders nobody has touched for a while, what orders that are over still hold, and what the stock's books say.

Everything is one statement, so one moment: stock and reservations change in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.order_states import FINAL, OrderStatus
from domain.recovery import UNDONE, OrderCursor
from domain.repairs import FOLLOW_PARCEL, STUCK_WORKFLOW_TASK

MOST = 500  # orders that are over and still hold something: the next run finds the rest

OPEN = [status.value for status in OrderStatus if status not in FINAL]

# A parcel that a person gave up leaves its order SHIPPED for good.
_RESTED = text("""
    SELECT order_id, status, updated_at FROM orders
     WHERE status = ANY(:open) AND updated_at <= :before AND updated_at >= :at
       AND (updated_at, order_id) > (:at, :after) AND (:every OR order_id = ANY(:order_ids))
       AND NOT (status = 'SHIPPED' AND EXISTS (
                SELECT FROM tickets JOIN ticket_actions ON ticket_actions.ticket_id = tickets.id
                 WHERE tickets.order_id = orders.order_id AND tickets.step = :parcel AND action = 'write_off'))
     ORDER BY updated_at, order_id LIMIT :batch
""")

_CALLED_STUCK = text("""
    SELECT orders.order_id, orders.status, orders.updated_at FROM tickets JOIN orders USING (order_id)
     WHERE tickets.kind = :kind AND tickets.resolved_at IS NULL AND (:every OR orders.order_id = ANY(:order_ids))
""")

# What a person settled stays as it is, and only that: they know more than the books.
_STILL_HOLDING = text("""
    SELECT order_id, status, updated_at, what FROM (
        SELECT order_id, 'stock' AS what FROM reservations WHERE state = 'held'
        UNION ALL
        SELECT order_id, 'money' FROM payments
         WHERE state IN ('created', 'requires_action', 'authorized', 'captured')
           AND order_id IN (SELECT order_id FROM orders WHERE status = ANY(:undone) AND updated_at >= :since)
        UNION ALL
        SELECT order_id, 'a label' FROM shipments
         WHERE state IN ('buying', 'bought', 'void_requested')
           AND order_id IN (SELECT order_id FROM orders WHERE status = ANY(:undone) AND updated_at >= :since)
    ) AS held JOIN orders USING (order_id)
     WHERE status = ANY(:final) AND updated_at <= :before AND (:every OR order_id = ANY(:order_ids))
       AND NOT EXISTS (SELECT FROM tickets JOIN ticket_actions ON ticket_actions.ticket_id = tickets.id
                        WHERE tickets.order_id = orders.order_id AND action IN ('mark_done', 'write_off')
                          AND (what, tickets.step) IN (
                              ('stock', 'compare_stock'), ('money', 'return_payment'), ('money', 'compare_payments'),
                              ('a label', 'cancel_shipment'), ('a label', 'confirm_void'), ('a label', 'ship_order'),
                              ('a label', 'compare_payments')))
     ORDER BY updated_at, order_id, what LIMIT :batch
""")

_STOCK = text("""
    SELECT stock.product_id, stock.reserved, coalesce(held.quantity, 0) AS held
      FROM stock LEFT JOIN (SELECT product_id, CAST(sum(quantity) AS bigint) AS quantity
                              FROM reservations WHERE state = 'held' GROUP BY product_id) AS held USING (product_id)
     WHERE stock.reserved <> coalesce(held.quantity, 0)
       AND (:every OR product_id IN (SELECT product_id FROM order_lines WHERE order_id = ANY(:order_ids)))
     ORDER BY product_id
""")


@dataclass(frozen=True)
class Rested:
    """An order as it was when it was read; `what` it still holds although it is over."""

    order_id: str
    status: OrderStatus
    updated_at: datetime
    what: str = ""


@dataclass(frozen=True)
class StockDrift:
    product_id: str
    reserved: int
    held: int  # by reservations

    def __str__(self) -> str:
        return f"{self.product_id}: {self.reserved} reserved, but the orders hold {self.held}"


def _only(order_ids: Sequence[str]) -> dict[str, Any]:
    return {"every": not order_ids, "order_ids": list(order_ids)}


async def rested(
    connection: AsyncConnection, before: datetime, after: OrderCursor, order_ids: Sequence[str], batch: int
) -> list[Rested]:
    """A batch of orders that are not over and were last changed before a time, the longest rested first."""
    where = {"open": OPEN, "before": before, "at": after.updated_at, "after": after.order_id, "parcel": FOLLOW_PARCEL}
    rows = await connection.execute(_RESTED, where | _only(order_ids) | {"batch": batch})
    return [Rested(row.order_id, OrderStatus(row.status), row.updated_at) for row in rows]


async def called_stuck(connection: AsyncConnection, order_ids: Sequence[str]) -> list[Rested]:
    """The orders whose workflow task was found stuck, and not found well since."""
    rows = await connection.execute(_CALLED_STUCK, {"kind": STUCK_WORKFLOW_TASK} | _only(order_ids))
    return [Rested(row.order_id, OrderStatus(row.status), row.updated_at) for row in rows]


async def still_holding(
    connection: AsyncConnection, since: datetime, before: datetime, order_ids: Sequence[str]
) -> list[Rested]:
    """Orders that are over by our books, and by the same books hold stock, money or a label."""
    bounds = {"since": since, "before": before, "undone": [*UNDONE], "final": [*FINAL], "batch": MOST}
    rows = await connection.execute(_STILL_HOLDING, bounds | _only(order_ids))
    return [Rested(row.order_id, OrderStatus(row.status), row.updated_at, row.what) for row in rows]


async def stock_drifts(connection: AsyncConnection, order_ids: Sequence[str]) -> list[StockDrift]:
    """Products whose reserved pieces are not those that orders hold."""
    rows = await connection.execute(_STOCK, _only(order_ids))
    return [StockDrift(row.product_id, row.reserved, row.held) for row in rows]
