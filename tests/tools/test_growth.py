"""The benchmark of large shops: which plans grow with the orders, and a small shop that is made larger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.growth import copies
from benchmarks.growth.__main__ import CUSTOMER, Growth, found_in, options_of
from benchmarks.growth.plans import Finding, Judged, unbounded
from benchmarks.growth.rate import Rate
from benchmarks.growth.report import Size, markdown
from benchmarks.growth.shop import OURS, growing_shop, statement_in

LARGE = {"orders", "timeline"}
PARTIAL = {"ix_open"}


def scan(kind: str, table: str, **more: Any) -> dict[str, Any]:
    return {"Node Type": kind, "Relation Name": table, **more}


def above(kind: str, *plans: dict[str, Any]) -> dict[str, Any]:
    return {"Node Type": kind, "Plans": [*plans]}


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        (scan("Seq Scan", "orders"), ["reads all of orders"]),
        (above("Limit", scan("Seq Scan", "orders")), ["reads all of orders"]),
        (above("Hash Join", scan("Seq Scan", "stock"), scan("Seq Scan", "timeline")), ["reads all of timeline"]),
        (scan("Seq Scan", "stock"), []),
        (scan("Index Scan", "orders", **{"Index Name": "pk", "Index Cond": "(id = $1)"}), []),
        (scan("Index Scan", "orders", **{"Index Name": "pk"}), ["reads all of the index pk"]),
        (above("Limit", above("Sort", scan("Index Scan", "orders", **{"Index Name": "pk"}))), []),
        (scan("Index Only Scan", "orders", **{"Index Name": "ix_open"}), []),
    ],
)
def test_a_plan_is_unbounded_where_it_reads_a_whole_table(plan: dict[str, Any], found: list[str]) -> None:
    """A whole index counts as well, unless a limit ends it or only what is open is in it."""
    assert unbounded(plan, LARGE, LARGE, PARTIAL) == found


def test_a_whole_index_of_a_small_table_says_nothing() -> None:
    """A plan for a few rows may be any; that a whole table has to be read is judged for tables of any size."""
    plans = scan("Index Scan", "tickets", **{"Index Name": "pk"}), scan("Seq Scan", "tickets")
    assert [unbounded(plan, LARGE | {"tickets"}, LARGE, PARTIAL) for plan in plans] == [[], ["reads all of tickets"]]


@pytest.mark.parametrize(
    ("message", "name", "statement"),
    [
        ("execute __asyncpg_stmt_3__: SELECT 1\nFROM orders", "", "SELECT 1\nFROM orders"),
        ("execute <unnamed>: with x as (select 1) select", "", "with x as (select 1) select"),
        ("statement: INSERT INTO t VALUES (1)", "", "INSERT INTO t VALUES (1)"),
        ("execute s: SELECT 1", OURS, None),
        ("execute s: COMMIT", "", None),
        ("statement: BEGIN ISOLATION LEVEL READ COMMITTED", "", None),
        ("duration: 3 ms", "", None),
        ("checkpoint starting: time", "", None),
    ],
)
def test_the_statements_of_the_service_are_read_from_the_servers_log(
    message: str, name: str, statement: str | None
) -> None:
    """Our own ones, and what has no plan, are left out."""
    assert statement_in(json.dumps({"message": message, "application_name": name})) == statement
    assert statement_in('{"message": "cut off') is None


def test_the_courses_of_the_copies_are_a_whole_hundred() -> None:
    assert sum(copies.SHARES.values()) == 100


def test_options_name_sizes_and_parts() -> None:
    """What cannot be, argparse refuses; no more orders are woken than wait."""
    chosen = options_of(["--sizes", "1000,5000", "--only", "plans,rate", "--parked", "300", "--woken", "900"])
    assert (chosen.sizes, chosen.only, chosen.woken) == ((1000, 5000), ["plans", "rate"], 300)
    with pytest.raises(SystemExit):
        options_of(["--only", "everything"])


def test_the_report_tells_rates_and_findings() -> None:
    """The median of the rounds, and each statement that reads a whole table."""
    rates = [Rate(10, 8.0, shipped, 0.5, 1.0, {"postgres": 20.0, "api": 30.0}, 0.1) for shipped in (5.0, 6.0, 9.0)]
    bad = Judged(7, [Finding("reads all of orders", "SELECT\n 1")], [])
    size = Size(1000, spread=rates, judged=bad, without_index=Judged(7, [], []))
    text = markdown([size], None)
    assert "| 1,000 | spread | 8.0 | 6.0 | 500 | 1000 | 20.0 | 50 | 10 % |" in text
    assert "  - reads all of orders: `SELECT 1`" in text
    assert found_in(size.judged) and not found_in(size.without_index)


async def test_every_statement_of_a_tour_has_its_index(tmp_path: Path) -> None:
    """Whatever the service asks on any path: PostgreSQL finds a way that reads no whole table which grows."""
    options = options_of(["--sizes", "600", "--only", "plans,bytes"])
    async with growing_shop(tmp_path) as shop:
        growth = Growth(shop, options, Console(quiet=True))
        await growth.prepare()
        size = await growth.at(600)
        statuses = await shop.database.fetch("SELECT status, count(*) AS orders FROM orders GROUP BY 1")
        held = await shop.database.fetchval("""
            SELECT count(*) FROM stock JOIN (SELECT product_id, sum(quantity) AS held FROM reservations
             WHERE state = 'held' GROUP BY 1) AS counted USING (product_id) WHERE reserved <> held
        """)
        placed = await shop.database.fetchval("SELECT count(*) FROM orders WHERE customer_id <> $1", CUSTOMER)
    assert size.without_index is not None and size.judged is not None
    assert [*size.judged.findings, *size.without_index.findings] == []
    assert size.without_index.statements > 90
    assert {row["status"]: row["orders"] for row in statuses if row["orders"] > 6}.keys() == {
        "DELIVERED", "CANCELED", "REJECTED", "SHIPPED", "READY_TO_SHIP",
    }  # fmt: skip
    assert (placed, held) == (600, 0)
    assert 5_000 < sum(one.total for one in size.weights if one.for_good) < 15_000
