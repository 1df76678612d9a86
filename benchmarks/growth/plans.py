"""The plan of every statement that the service sends, and which of them would read a table that grows as a whole.

A plan is the generic one: what PostgreSQL does for any values, and what it turns to after a few executions. It is
asked for by `PREPARE` and `EXPLAIN EXECUTE`, which all versions have. What really was read while the tour ran is
counted by the server itself (`pg_stat_user_tables.seq_scan`), also for the checks of foreign keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

OURS = frozenset(["courses", "samples", "sampled_rows"])
DO_NOT_GROW = OURS | {"products", "stock", "order_transitions", "cursors", "brake_pulls", "alembic_version"}
DO_NOT_GROW |= {"webhook_endpoints"}
"""They have a row per product, status, job or endpoint, however many orders there are."""

LARGE = 200
"""Pages of a table from which on reading all of it is judged: below, PostgreSQL rightly reads the whole table.

It takes the JSON rows of one write for a hundred rows, and looks up each of them only where that is cheaper than
to read the table once.
"""

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """A part of a plan that reads more the more orders there are."""

    what: str
    statement: str


@dataclass(frozen=True)
class Judged:
    """What was found at one size; `small` are tables of which too few rows are there to judge a plan."""

    statements: int
    findings: Sequence[Finding]
    small: Sequence[str]


async def judge(database: asyncpg.Pool, statements: Sequence[str], *, forced: bool = False) -> Judged:
    """`forced` forbids to read whole tables wherever there is another way: what is left has no index."""
    pages = {row["relname"]: row["relpages"] for row in await database.fetch(_PAGES)}
    partial = {row["name"] for row in await database.fetch(_PARTIAL)}
    grow = {name for name in pages if name not in DO_NOT_GROW}
    large = {name for name in grow if pages[name] >= LARGE}
    findings: list[Finding] = []
    async with database.acquire() as connection:
        for statement in statements:
            plan = await plan_of(connection, statement, forced=forced)
            findings += [
                Finding(what, statement) for what in unbounded(plan, grow if forced else large, large, partial)
            ]
    return Judged(len(statements), findings, sorted(grow - large))


async def plan_of(connection: asyncpg.Connection, statement: str, *, forced: bool = False) -> Node:
    """The generic plan; nothing is executed."""
    values = ", ".join(["NULL"] * max((int(one) for one in re.findall(r"\$(\d+)", statement)), default=0))
    async with connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        if forced:
            await connection.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
            )
        await connection.execute(f"PREPARE asked AS {statement}")
        try:
            words = f"EXPLAIN (FORMAT JSON) EXECUTE asked{f'({values})' if values else ''}"
            plan: Node = json.loads(await connection.fetchval(words))[0]["Plan"]
        finally:
            await connection.execute("DEALLOCATE asked")
    return plan


def unbounded(plan: Node, tables: set[str], large: set[str], partial: set[str]) -> list[str]:
    """The parts that read all of one of `tables`, or a whole index of a large one without a limit above them."""
    return [what for node, limited in _nodes(plan, False) if (what := _whole(node, limited, tables, large, partial))]


def _whole(node: Node, limited: bool, tables: set[str], large: set[str], partial: set[str]) -> str | None:
    table = node.get("Relation Name")
    if node["Node Type"] == "Seq Scan" and table in tables:
        return f"reads all of {table}"
    index = node.get("Index Name")
    if index is None or "Index Cond" in node or limited or index in partial:
        return None
    return f"reads all of the index {index}" if table in large else None


def _nodes(plan: Node, limited: bool) -> Iterator[tuple[Node, bool]]:
    yield plan, limited
    below = limited or plan["Node Type"] == "Limit"
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner, below)


_PAGES = """
    SELECT relname, pg_relation_size(pg_class.oid) / 8192 AS relpages FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_PARTIAL = """
    SELECT indexrelid::regclass::text AS name FROM pg_index
      JOIN pg_class ON pg_class.oid = indrelid AND relnamespace = 'public'::regnamespace WHERE indpred IS NOT NULL
"""
