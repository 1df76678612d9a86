"""What an order occupies in the database, by table and index, measured over all orders that are there."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

FOR_GOOD = frozenset(
    [
        "orders",
        "order_lines",
        "order_steps",
        "timeline",
        "payments",
        "payment_attempts",
        "refunds",
        "shipments",
        "reservations",
        "tickets",
        "ticket_actions",
        "texts",
        "cancel_wishes",
        "ends_by_our_fault",
        "customers",
    ]
)
"""Whatever decides about money, or tells what happened to it."""

_WEIGHTS = """
    SELECT relname AS name, pg_table_size(oid) AS rows_size, pg_indexes_size(oid) AS index_size,
           reltuples::bigint AS rows
      FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
       AND relname NOT IN ('courses', 'sampled_rows', 'made', 'alembic_version')
     ORDER BY pg_total_relation_size(oid) DESC
"""
_JSON = """
    SELECT 'payment_attempts.params' AS name, avg(pg_column_size(params)) AS bytes, count(*) AS rows,
           (SELECT avg(pg_column_size(t.*)) FROM payment_attempts AS t TABLESAMPLE SYSTEM (1)) AS row_bytes
      FROM payment_attempts TABLESAMPLE SYSTEM (1)
    UNION ALL
    SELECT 'order_steps.result', avg(coalesce(pg_column_size(result), 0)), count(*),
           (SELECT avg(pg_column_size(t.*)) FROM order_steps AS t TABLESAMPLE SYSTEM (1))
      FROM order_steps TABLESAMPLE SYSTEM (1)
    UNION ALL
    SELECT 'outbox.data', avg(pg_column_size(data)), count(*),
           (SELECT avg(pg_column_size(t.*)) FROM outbox AS t TABLESAMPLE SYSTEM (1))
      FROM outbox TABLESAMPLE SYSTEM (1)
"""


@dataclass(frozen=True)
class Weight:
    """Bytes of one order in one table, and its rows there."""

    table: str
    rows: float
    row_bytes: float
    index_bytes: float

    @property
    def total(self) -> float:
        return self.row_bytes + self.index_bytes

    @property
    def for_good(self) -> bool:
        return self.table in FOR_GOOD


async def weigh(database: asyncpg.Pool) -> list[Weight]:
    """By table, the heaviest first."""
    orders = await database.fetchval("SELECT count(*) FROM orders")
    return [
        Weight(row["name"], row["rows"] / orders, row["rows_size"] / orders, row["index_size"] / orders)
        for row in await database.fetch(_WEIGHTS)
    ]


async def weigh_json(database: asyncpg.Pool) -> dict[str, tuple[float, float]]:
    """Of the columns that could be compacted: average bytes of the value, and of its whole row."""
    return {row["name"]: (float(row["bytes"]), float(row["row_bytes"])) for row in await database.fetch(_JSON)}
