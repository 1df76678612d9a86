"""Compares the pieces that are reserved with those that orders hold, product by product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PRODUCTS = 500  # compared at once

# One statement for each page, so one moment for each product: both books change in the same transaction.
_STOCK = """
    WITH page AS MATERIALIZED (
         SELECT product_id, reserved, held
           FROM (SELECT product_id, reserved FROM stock
                  WHERE product_id > :after {only} ORDER BY product_id LIMIT :most) AS stock
          CROSS JOIN LATERAL (SELECT CAST(coalesce(sum(quantity), 0) AS bigint) AS held FROM reservations
                               WHERE reservations.product_id = stock.product_id AND state = 'held') AS pieces),
    last AS (SELECT max(product_id) AS product_id FROM page HAVING count(*) > 0)
    SELECT last.product_id AS last_product_id, page.*
      FROM last LEFT JOIN page ON page.reserved <> page.held
     ORDER BY page.product_id
"""
_ALL, _THESE = (
    text(_STOCK.format(only=only))
    for only in ("", "AND product_id IN (SELECT product_id FROM order_lines WHERE order_id = ANY(:order_ids))")
)


@dataclass(frozen=True)
class StockDrift:
    product_id: str
    reserved: int
    held: int  # by reservations

    def __str__(self) -> str:
        return f"{self.product_id}: {self.reserved} reserved, but the orders hold {self.held}"


async def stock_drifts(connection: AsyncConnection, order_ids: Sequence[str]) -> list[StockDrift]:
    """Products whose reserved pieces are not those that orders hold."""
    found, after = list[StockDrift](), ""
    while True:
        asked: dict[str, Any] = {"after": after, "most": PRODUCTS}
        if order_ids:
            rows = (await connection.execute(_THESE, asked | {"order_ids": list(order_ids)})).all()
        else:
            rows = (await connection.execute(_ALL, asked)).all()
        if not rows:
            return found
        after = rows[0].last_product_id
        found += [StockDrift(row.product_id, row.reserved, row.held) for row in rows if row.product_id is not None]
