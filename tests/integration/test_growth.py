"""What the scheduled jobs and the metrics ask of the database costs the same in a shop of any size."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.clock import now
from devstack.stack.stack import Stack
from domain.recovery import OrderCursor, PaymentAtStripe
from services.insight import census
from services.inventory import comparison as stock_comparison
from services.recovery import ended_orders, payment_comparison, unchanged_orders
from services.tables import METADATA
from tests.support.databases import connection, database
from tests.support.large_shop import fill

BEGINNING = OrderCursor(updated_at=datetime(1970, 1, 1, tzinfo=UTC), order_id="")
LARGE = {"orders", "order_lines", "payments", "shipments", "reservations", "tickets", "ticket_actions", "outbox"}
SMALL_SETS = {
    "uq_tickets_one_open_each",
    "ix_outbox_waiting",
    "ix_outbox_parked",
    "ix_dead_letters_waiting",
    "pk_consumer_positions",
    "ix_webhook_inbox_unprocessed",
    "ix_refunds_unsettled",
    "ix_orders_waits_for",
    "uq_brake_pulls_one_on",
}
"""Indexes of what is open only: whoever reads one of them as a whole reads what waits for somebody."""

LATER = """
    INSERT INTO ticket_actions (ticket_id, at, by, action, note, evidence)
    SELECT id, opened_at, 'saga', action, '', '' FROM tickets, unnest(ARRAY['opened', 'retry', 'closed']) AS action;
    INSERT INTO refunds (order_id, key, amount_minor, reason, by, state, created_at, updated_at)
    SELECT order_id, 'k', 100, '', 'ann', 'succeeded', created_at, created_at FROM orders WHERE status = 'DELIVERED';
    ANALYZE
"""

Question = Callable[[AsyncConnection], Awaitable[object]]
Asked = tuple[str, tuple[Any, ...]]


def questions() -> dict[str, Question]:
    """One page of each job, as it is asked in the middle of its work."""
    at = now()
    recent = OrderCursor(updated_at=at - timedelta(days=1), order_id="")
    ids = [f"{n:032x}" for n in range(1, 101)]
    paid = [PaymentAtStripe(id=f"pi_{one}", order_id=one, status="succeeded") for one in ids]
    elsewhere = [PaymentAtStripe(id=f"x_{one}", order_id=one, status="succeeded") for one in ids]
    return {
        "unchanged": lambda c: unchanged_orders.unchanged(c, at, BEGINNING, [], 500),
        "unchanged, in the middle": lambda c: unchanged_orders.unchanged(c, at, recent, [], 500),
        "called stuck": lambda c: unchanged_orders.called_stuck(c, "", [], 500),
        "undone and holding": lambda c: ended_orders.undone_and_holding(c, recent, at, [], 500),
        "others with stock": lambda c: ended_orders.others_with_stock(
            c, ("p5", ""), at - timedelta(days=3), at, [], 500
        ),
        "stock": lambda c: stock_comparison.stock_drifts(c, []),
        "payments that our books know": lambda c: payment_comparison.compare(c, paid),
        "payments that they do not know": lambda c: payment_comparison.compare(c, elsewhere),
        "changed": lambda c: payment_comparison.changed(c, recent, at, [], 100),
        "census": census.read,
    }


@asynccontextmanager
async def listening(engine: AsyncEngine) -> AsyncIterator[tuple[AsyncConnection, list[Asked]]]:
    asked: list[Asked] = []

    def hear(connection: Any, cursor: Any, statement: str, parameters: Any, *others: Any) -> None:
        if "EXPLAIN" not in statement:
            asked.append((statement, parameters))

    async with engine.connect() as made:
        event.listen(made.sync_connection, "before_cursor_execute", hear)
        yield made, asked


async def plan_of(connection: AsyncConnection, asked: Asked, how: str) -> dict[str, Any]:
    statement, parameters = asked
    explained = await connection.exec_driver_sql(f"EXPLAIN ({how}, FORMAT JSON) {statement}", parameters)
    plan: dict[str, Any] = explained.scalar_one()[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def is_unbounded(node: dict[str, Any]) -> bool:
    """Whether it reads all that a table has, and not only a range of an index."""
    if node["Node Type"] == "Seq Scan":
        return node["Relation Name"] in LARGE
    if node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan"):
        return "Index Cond" not in node and node["Index Name"] not in SMALL_SETS
    return False


@asynccontextmanager
async def open_for_long(stack: Stack, orders: int) -> AsyncIterator[AsyncEngine]:
    """The database of a shop with this many orders."""
    async with database(stack) as url:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.begin() as made:
            await made.run_sync(METADATA.create_all)
        async with connection(url) as mine:
            await fill(mine, orders, timeline=False)
            await mine.execute(LATER)
        yield engine
        await engine.dispose()


@pytest.fixture(scope="module")
async def small(stack: Stack) -> AsyncIterator[AsyncEngine]:
    async with open_for_long(stack, 5_000) as engine:
        yield engine


@pytest.mark.parametrize("name", questions())
async def test_every_question_has_its_index(small: AsyncEngine, name: str) -> None:
    """Told to read no whole table, PostgreSQL finds another way for every part of every statement."""
    async with listening(small) as (connection, asked):
        await questions()[name](connection)
        statements = list(asked)
        assert statements
        for way in ("seqscan", "hashjoin", "mergejoin"):
            await connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        for one in statements:
            plan = await plan_of(connection, one, "COSTS")
            whole = [node.get("Index Name", node["Node Type"]) for node in nodes(plan) if is_unbounded(node)]
            assert whole == [], one[0]


@pytest.mark.long
async def test_no_question_costs_more_in_a_large_shop(stack: Stack) -> None:
    """200,000 orders: a page reads a few blocks for each of its rows, and nothing reads all blocks of a table."""
    async with open_for_long(stack, 200_000) as engine:
        async with engine.connect() as mine:
            size = await mine.exec_driver_sql("SELECT pg_relation_size('orders') / 8192")
            blocks = size.scalar_one()
        costs = {name: await cost_of(engine, question) for name, question in questions().items()}
        print("".join(f"\n{name:32} {ms:8.1f} ms {read:8} blocks" for name, (ms, read) in costs.items()))  # noqa: T201
        assert blocks > 3_000
        assert {name: read for name, (_, read) in costs.items() if read > 2_500} == {}


async def cost_of(engine: AsyncEngine, question: Question) -> tuple[float, int]:
    """Milliseconds of the second of two times, and the blocks that its statements read."""
    async with listening(engine) as (connection, asked):
        await question(connection)
        asked.clear()
        began = time.monotonic()
        await question(connection)
        ended = time.monotonic()
        plans = [await plan_of(connection, one, "ANALYZE, BUFFERS") for one in list(asked)]
    return (ended - began) * 1000, sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)
