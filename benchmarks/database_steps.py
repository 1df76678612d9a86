"""The three database steps that every engine contender takes, so that only the engine's use differs between them."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from benchmarks.errors import BenchmarkFailed

PRODUCTS = 100  # rows of stock: enough that 50 orders at once seldom wait for the same one
POOL = 20  # connections, as many as the service's own pool has

_SCHEMA = """
    CREATE SCHEMA IF NOT EXISTS bench;
    CREATE TABLE IF NOT EXISTS bench.stock (
        product_id int PRIMARY KEY, on_hand bigint NOT NULL, reserved bigint NOT NULL DEFAULT 0,
        CHECK (reserved <= on_hand));
    CREATE TABLE IF NOT EXISTS bench.reservations (order_id text PRIMARY KEY, product_id int NOT NULL);
    CREATE TABLE IF NOT EXISTS bench.payments (order_id text PRIMARY KEY, amount_minor bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS bench.shipments (order_id text PRIMARY KEY, state text NOT NULL);
    INSERT INTO bench.stock SELECT id, 1000000000 FROM generate_series(0, 99) AS id ON CONFLICT DO NOTHING;
"""

# Each is one statement, and a repeat changes nothing: an engine runs a step at least once.
RESERVE = """
    WITH held AS (INSERT INTO bench.reservations VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING product_id)
    UPDATE bench.stock SET reserved = reserved + 1 FROM held WHERE stock.product_id = held.product_id
"""
RELEASE = """
    WITH held AS (DELETE FROM bench.reservations WHERE order_id = $1 RETURNING product_id)
    UPDATE bench.stock SET reserved = reserved - 1 FROM held WHERE stock.product_id = held.product_id
"""
PAY = "INSERT INTO bench.payments VALUES ($1, 1999) ON CONFLICT DO NOTHING"
REFUND = "DELETE FROM bench.payments WHERE order_id = $1"
SHIP = "INSERT INTO bench.shipments VALUES ($1, 'booked') ON CONFLICT DO NOTHING"
UNSHIP = "DELETE FROM bench.shipments WHERE order_id = $1"

_COUNT = """
    SELECT (SELECT count(*) FROM bench.reservations WHERE order_id = ANY ($1)),
           (SELECT count(*) FROM bench.payments WHERE order_id = ANY ($1)),
           (SELECT count(*) FROM bench.shipments WHERE order_id = ANY ($1)),
           (SELECT sum(reserved) FROM bench.stock) = (SELECT count(*) FROM bench.reservations)
"""


def product_of(order_id: str) -> int:
    """Spreads the orders over the products, always the same way."""
    return zlib.crc32(order_id.encode()) % PRODUCTS


class DatabaseSteps:
    """Reserve, pay, ship, and the undo of each."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def reserve(self, order_id: str) -> None:
        await self._pool.execute(RESERVE, order_id, product_of(order_id))

    async def release(self, order_id: str) -> None:
        await self._pool.execute(RELEASE, order_id)

    async def pay(self, order_id: str) -> None:
        await self._pool.execute(PAY, order_id)

    async def refund(self, order_id: str) -> None:
        await self._pool.execute(REFUND, order_id)

    async def ship(self, order_id: str) -> None:
        await self._pool.execute(SHIP, order_id)

    async def unship(self, order_id: str) -> None:
        await self._pool.execute(UNSHIP, order_id)

    async def check(self, order_ids: Sequence[str]) -> None:
        """Raises BenchmarkFailed unless every order was carried out exactly once: a fast loss is no speed."""
        *counts, stock_fits = await self._pool.fetchrow(_COUNT, list(order_ids))
        if counts != [len(order_ids)] * 3 or not stock_fits:
            raise BenchmarkFailed(f"{len(order_ids)} orders left {counts} reservations, payments and shipments")


@asynccontextmanager
async def open_steps(database_url: str, connections: int = POOL) -> AsyncIterator[DatabaseSteps]:
    """The steps over a pool of connections, their tables made where they are missing."""
    settings = {"application_name": "ordersaga-bench", "jit": "off"}
    size = {"min_size": connections, "max_size": connections}
    async with asyncpg.create_pool(database_url, **size, server_settings=settings) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(4242)")  # both stations start at once
            await connection.execute(_SCHEMA)
        yield DatabaseSteps(pool)
