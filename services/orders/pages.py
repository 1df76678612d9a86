"""Orders by their last change, page by page, the longest unchanged first.

Each status is one range of the index (status, updated_at, order_id). So a page reads no more rows than it may have
for each status, however many orders there are: a filter over all of them would read them all for every page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.order_states import OrderStatus
from domain.recovery import OrderCursor

_ALL = """
    SELECT orders.order_id, orders.status, orders.updated_at {columns}
      FROM unnest(CAST(:statuses AS text[])) AS wanted (status)
     CROSS JOIN LATERAL (
           SELECT order_id, status, updated_at FROM orders
            WHERE orders.status = wanted.status AND updated_at <= :until
              AND (updated_at, order_id) > (:after_time, :after_id) {where}
            ORDER BY updated_at, order_id LIMIT :most) AS orders
     ORDER BY updated_at, order_id LIMIT :most
"""

_THESE = """
    SELECT orders.order_id, orders.status, orders.updated_at {columns}
      FROM orders
     WHERE order_id = ANY(:order_ids) AND status = ANY(:statuses) AND updated_at <= :until
       AND (updated_at, order_id) > (:after_time, :after_id) {where}
     ORDER BY updated_at, order_id LIMIT :most
"""


class OrderPages:
    """One question about orders. `columns` and `where` are SQL that begins with a comma and with AND."""

    def __init__(self, columns: str = "", where: str = "") -> None:
        self._all = text(_ALL.format(columns=columns, where=where))
        self._these = text(_THESE.format(columns=columns, where=where))

    async def read(
        self,
        connection: AsyncConnection,
        statuses: Collection[OrderStatus],
        after: OrderCursor,
        until: datetime,
        order_ids: Sequence[str],
        most: int,
        **values: Any,
    ) -> Sequence[Row[Any]]:
        """At most `most` orders after `after`, last changed until a time; only of `order_ids`, if any are given."""
        bounds = {"after_time": after.updated_at, "after_id": after.order_id, "until": until, "most": most}
        asked = {"statuses": sorted(statuses)} | bounds | values
        if order_ids:
            return (await connection.execute(self._these, asked | {"order_ids": list(order_ids)})).all()
        return (await connection.execute(self._all, asked)).all()
