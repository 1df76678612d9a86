"""Migrations of a database that others use meanwhile; `test_migration_rules.py` has the rules of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import cycle

import asyncpg
import pytest

from devstack.stack.stack import Stack
from tests.support.databases import alembic, connection, database, migrate
from tests.support.large_shop import fill
from tests.support.waiting import until

LONGEST_WAIT = "2s"  # many times what a migration may wait; whoever queues behind the report waits until it ends
READS = [
    "SELECT * FROM orders WHERE order_id = lpad('1', 32, '0')",
    "SELECT * FROM orders JOIN order_lines USING (order_id) ORDER BY created_at DESC LIMIT 10",
    "SELECT * FROM timeline WHERE order_id = lpad('1', 32, '0')",
    "SELECT * FROM payments JOIN payment_attempts USING (order_id) WHERE payment_intent_id = 'x'",
    "SELECT * FROM customers WHERE customer_id = 'c1'",
    "SELECT * FROM tickets WHERE resolved_at IS NULL",
    "SELECT * FROM stock JOIN reservations USING (product_id) WHERE order_id = 'x'",
    "SELECT * FROM order_steps JOIN shipments USING (order_id) WHERE order_id = 'x'",
    "SELECT * FROM outbox WHERE published_at IS NULL",
    "SELECT * FROM webhook_inbox WHERE processed_at IS NULL",
]
WRITES = [
    "UPDATE orders SET needs_attention = NOT needs_attention WHERE order_id = lpad('1', 32, '0')",
    "UPDATE stock SET on_hand = on_hand + 1 WHERE product_id = 'p1'",
    "UPDATE payments SET updated_at = now() WHERE order_id = lpad('1', 32, '0')",
]


class Traffic:
    """Reads that give up after `LONGEST_WAIT` for a lock, and writes beside them."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.waited: list[str] = []  # reads that gave up
        self._over = False

    async def run(self, url: str, statements: Iterator[str], *, reads: bool) -> None:
        async with connection(url) as mine:
            if reads:
                await mine.execute(f"SET lock_timeout = '{LONGEST_WAIT}'")
            for statement in statements:
                if self._over:
                    return
                try:
                    await mine.execute(statement)  # not prepared: the columns of `*` change meanwhile
                except asyncpg.LockNotAvailableError:
                    self.waited.append(statement)
                self.done[statement] += 1
                await asyncio.sleep(0)

    def stop(self) -> None:
        self._over = True


@pytest.fixture(scope="module")
async def second(stack: Stack) -> AsyncIterator[str]:
    """A database at revision 0002, made by two runs at once."""
    async with database(stack) as url:
        runs = [await alembic(url, "upgrade", "0002") for _ in range(2)]
        assert [await run.end() for run in runs] == [0, 0], [run.said for run in runs]
        yield url


async def test_a_migration_that_cannot_have_a_lock_keeps_no_reader_waiting(stack: Stack, second: str) -> None:
    """A report reads all orders for long: whoever comes after the migration's request is not queued behind it."""
    async with database(stack, second) as url, connection(url) as report:
        async with connection(url) as made:
            await fill(made, 100)
        traffic = Traffic()
        async with asyncio.TaskGroup() as tasks:
            async with report.transaction():
                await report.fetch("SELECT * FROM orders")
                tasks.create_task(traffic.run(url, cycle(READS), reads=True))
                run = await alembic(url, "upgrade", "head")
                for _ in range(2):
                    await run.hears("a table is in use, trying again: ALTER TABLE orders")
                    run.said = ""
                assert await made_columns(report) == 0
            assert await run.end() == 0, run.said
            traffic.stop()
        assert traffic.waited == []
        assert set(traffic.done) == set(READS)
        assert await made_columns(report) == 1
        wrong = "SELECT count(*) FROM order_lines JOIN orders USING (order_id) WHERE ordered_at <> created_at"
        assert await report.fetchval(wrong) == 0


async def made_columns(database: asyncpg.Connection) -> int:
    query = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'hold'"
    return int(await database.fetchval(query))


async def test_an_index_whose_build_failed_is_built_again(stack: Stack, second: str) -> None:
    """What a run that died left behind is neither taken for the index nor in the way."""
    async with database(stack, second) as url, connection(url) as mine:
        await fill(mine, 100)
        with pytest.raises(asyncpg.UniqueViolationError):
            await mine.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_orders_status_updated_at ON orders (currency)")
        await migrate(url, "upgrade", "0003")
        index = "SELECT indisvalid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = $1::regclass"
        valid, definition = await mine.fetchrow(index, "ix_orders_status_updated_at")
        assert valid and definition.endswith("ON public.orders USING btree (status, updated_at)")


async def test_going_down_never_forgets_a_refund(stack: Stack, second: str) -> None:
    """The run ends with what would be lost; without a row the way down is open."""
    async with database(stack, second) as url, connection(url) as mine:
        await fill(mine, 100)
        await migrate(url, "upgrade", "0003")
        await mine.execute("""
            INSERT INTO refunds (order_id, key, amount_minor, reason, by, state, created_at, updated_at)
            SELECT order_id, 'k', 500, '', 'ann', 'succeeded', now(), now() FROM orders LIMIT 1
        """)
        run = await alembic(url, "downgrade", "0002")
        assert await run.end() != 0
        assert "going down would lose what refunds remembers: restore a backup instead" in run.said
        assert await mine.fetchval("SELECT count(*) FROM refunds") == 1
        await mine.execute("DELETE FROM refunds")
        await migrate(url, "downgrade", "0002")
        assert await mine.fetchval("SELECT to_regclass('refunds')") is None


@pytest.mark.long
async def test_a_shop_with_many_orders_goes_on_while_it_is_migrated(stack: Stack) -> None:
    """All revisions on 200,000 orders, among reads, writes and reports: no read waits 200 ms for a lock."""
    async with database(stack) as url:
        await migrate(url, "upgrade", "0002")
        async with connection(url) as mine:
            await fill(mine, 200_000)
        traffic = Traffic()
        async with asyncio.TaskGroup() as tasks:
            for statements in (READS, READS[::-1]):
                tasks.create_task(traffic.run(url, cycle(statements), reads=True))
            tasks.create_task(traffic.run(url, cycle(WRITES), reads=False))
            tasks.create_task(traffic.run(url, cycle(["SELECT pg_sleep(0.3), count(*) FROM orders"]), reads=False))
            run = await alembic(url, "upgrade", "head")
            ended = await run.end()
            traffic.stop()
        assert ended == 0, run.said
        assert traffic.waited == []
        assert min(traffic.done[statement] for statement in READS + WRITES) > 10, traffic.done


@pytest.mark.long
async def test_an_autovacuum_gives_way_to_a_migration(stack: Stack, second: str) -> None:
    """It would hold its lock for many minutes, and its table could not be altered meanwhile."""
    async with database(stack, second) as url, connection(url) as mine:
        await fill(mine, 10_000)
        await mine.execute("""
            ALTER TABLE orders SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
                                    autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)
        """)
        await mine.execute("UPDATE orders SET needs_attention = true")
        await mine.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
        try:
            await mine.execute("SELECT pg_reload_conf()")
            vacuums = """SELECT count(*) FROM pg_stat_progress_vacuum
                          WHERE relid = 'orders'::regclass AND datname = current_database()"""
            await until(lambda: mine.fetchval(vacuums), 1, 60)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await mine.execute("SET lock_timeout = '50ms'; ALTER TABLE orders ADD COLUMN x TEXT")
            said = await migrate(url, "upgrade", "0003")
        finally:
            await mine.execute("ALTER SYSTEM RESET autovacuum_naptime")
            await mine.execute("SELECT pg_reload_conf()")
        assert "a table is in use, trying again: ALTER TABLE orders" in said
        assert await made_columns(mine) == 1
