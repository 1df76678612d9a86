"""What orders that have ended by our books still hold by the same books, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.order_states import FINAL, OrderStatus
from domain.recovery import UNDONE, OrderCursor
from services.orders.pages import OrderPages
from services.recovery.unchanged_orders import UnchangedOrder

# What a person settled stays as it is, and only that: they know more than the books.
# LIMIT 1 instead of EXISTS: a look for each order of the page, where PostgreSQL might read the whole other table.
_NOT_SETTLED = """(
                 SELECT true FROM tickets JOIN ticket_actions ON ticket_actions.ticket_id = tickets.id
                  WHERE tickets.order_id = orders.order_id AND action IN ('mark_done', 'write_off')
                    AND tickets.step IN ({steps})
                  LIMIT 1) IS NULL
"""
_OF_STOCK, _OF_MONEY, _OF_LABELS = (
    _NOT_SETTLED.format(steps=steps)
    for steps in (
        "'compare_stock'",
        "'return_payment', 'compare_payments'",
        "'cancel_shipment', 'confirm_void', 'ship_order', 'compare_payments'",
    )
)

_UNDONE = OrderPages(
    columns="""
           , (SELECT 'stock' FROM reservations
               WHERE reservations.order_id = orders.order_id AND state = 'held' AND {stock} LIMIT 1) AS stock
           , (SELECT 'money' FROM payments
               WHERE payments.order_id = orders.order_id
                 AND state IN ('created', 'requires_action', 'authorized', 'captured') AND {money} LIMIT 1) AS money
           , (SELECT 'a label' FROM shipments
               WHERE shipments.order_id = orders.order_id
                 AND state IN ('buying', 'bought', 'void_requested') AND {labels} LIMIT 1) AS label
""".format(stock=_OF_STOCK, money=_OF_MONEY, labels=_OF_LABELS)  # noqa: UP032, S608
)

# Of the others only stock can be left: one statement, since stock and status change in the same transaction.
_HELD = """
    WITH page AS MATERIALIZED (
         SELECT product_id, order_id FROM reservations
          WHERE state = 'held' AND (product_id, order_id) > (:product_id, :order_id) {only}
          ORDER BY product_id, order_id LIMIT :most),
    last AS (SELECT product_id, order_id FROM page ORDER BY product_id DESC, order_id DESC LIMIT 1)
    SELECT last.product_id AS last_product_id, last.order_id AS last_order_id, held.*
      FROM last LEFT JOIN (
           SELECT DISTINCT orders.order_id, status, updated_at FROM page JOIN orders USING (order_id)
            WHERE status = ANY(:final) AND updated_at <= :until
              AND NOT (status = ANY(:undone) AND updated_at > :since) AND {not_settled}) AS held ON true
     ORDER BY updated_at, order_id
"""
_ALL_HELD, _THESE_HELD = (
    text(_HELD.format(only=only, not_settled=_OF_STOCK)) for only in ("", "AND order_id = ANY(:order_ids)")
)

Piece = tuple[str, str]
"""A reservation by its product and its order."""


async def undone_and_holding(
    connection: AsyncConnection, after: OrderCursor, until: datetime, order_ids: Sequence[str], batch: int
) -> tuple[list[UnchangedOrder], OrderCursor | None]:
    """Those of one page of canceled and rejected orders, and where the next page begins; None after the last one."""
    rows = await _UNDONE.read(connection, UNDONE, after, until, order_ids, batch)
    last = rows[-1] if len(rows) == batch else None
    following = OrderCursor(updated_at=last.updated_at, order_id=last.order_id) if last else None
    return [_found(row, held) for row in rows if (held := _held_by(row))], following


async def others_with_stock(
    connection: AsyncConnection, after: Piece, since: datetime, until: datetime, order_ids: Sequence[str], batch: int
) -> tuple[list[UnchangedOrder], Piece | None]:
    """Of one page of pieces that are held: the orders that have ended, but for those undone after `since`."""
    asked: dict[str, Any] = {"product_id": after[0], "order_id": after[1], "most": batch}
    asked |= {"final": [*FINAL], "undone": [*UNDONE], "since": since, "until": until}
    if order_ids:
        rows = (await connection.execute(_THESE_HELD, asked | {"order_ids": list(order_ids)})).all()
    else:
        rows = (await connection.execute(_ALL_HELD, asked)).all()
    following = (rows[0].last_product_id, rows[0].last_order_id) if rows else None
    return [_found(row, "stock") for row in rows if row.order_id is not None], following


def _held_by(row: Row[Any]) -> str:
    return " and ".join(one for one in (row.stock, row.money, row.label) if one)


def _found(row: Row[Any], what: str) -> UnchangedOrder:
    return UnchangedOrder(row.order_id, OrderStatus(row.status), row.updated_at, what)
