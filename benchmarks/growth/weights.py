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
       AND relname NOT IN ('courses', 'sampled_rows', 'samples', 'made', 'alembic_version')
     ORDER BY pg_total_relation_size(oid) DESC
"""
_JSON = """
    SELECT avg(coalesce(pg_column_size({column}), 0)) AS bytes, avg(pg_column_size(a_part.*)) AS row_bytes
      FROM (SELECT * FROM {table} LIMIT 20000) AS a_part
"""
JSON = (("payment_attempts", "params"), ("order_steps", "result"), ("outbox", "data"))
"""The columns that could be compacted."""


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
    """Of each such column: average bytes of the value, and of its whole row."""
    found = {}
    for table, column in JSON:
        row = await database.fetchrow(_JSON.format(table=table, column=column))
        found[f"{table}.{column}"] = (float(row["bytes"]), float(row["row_bytes"]))
    return found
