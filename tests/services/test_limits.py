"""Buckets as rows of PostgreSQL: exact, however many ask at once."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import autocommit
from domain.errors import TooMany
from domain.rate_limits import Limit, Rate
from services.limits.buckets import BucketRows, forget_full
from services.limits.limiter import Limiter

RATE = Rate(5, 3600.0)


@pytest.fixture
def rows(engine: AsyncEngine) -> BucketRows:
    return BucketRows(autocommit(engine))


async def test_of_200_at_once_exactly_five_pass(rows: BucketRows) -> None:
    """Each with a statement of its own, as of 200 processes."""
    key = secrets.token_hex(16)
    got = await asyncio.gather(*(rows.take(Limit.CANCELS, key, RATE, 1) for _ in range(200)))
    assert sum(one.taken for one in got) == 5
    assert all(one.ahead > 4 * RATE.interval for one in got if not one.taken)


async def test_four_processes_let_exactly_thirty_through(rows: BucketRows) -> None:
    key, rate = secrets.token_hex(16), Rate(30, 3600.0)
    limiters = [Limiter(rows, 60.0) for _ in range(4)]
    asked = [limiter.take(Limit.WRITES, key, rate) for limiter in limiters for _ in range(50)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, TooMany) for one in answers) == 170
    assert sum(not isinstance(one, BaseException) for one in answers) == 30


async def test_gives_what_is_left_and_tells_when_there_is_more(rows: BucketRows) -> None:
    key = secrets.token_hex(16)
    first = await rows.take(Limit.WRITES, key, RATE, 3)
    second = await rows.take(Limit.WRITES, key, RATE, 3)
    third = await rows.take(Limit.WRITES, key, RATE, 3)
    assert (first.taken, second.taken, third.taken) == (3, 2, 0)
    assert first.ahead == pytest.approx(3 * RATE.interval)
    assert RATE.wait(third.ahead) == pytest.approx(RATE.interval, abs=60)
    assert (await rows.take(Limit.READS, key, RATE, 9)).taken == 5  # never more than there are


async def test_turns_come_back_with_time(rows: BucketRows, engine: AsyncEngine) -> None:
    key = secrets.token_hex(16)
    await rows.take(Limit.WRITES, key, RATE, 5)
    async with engine.begin() as connection:
        moved = text("UPDATE rate_limits SET full_at = full_at - interval '1500 seconds' WHERE key = :key")
        await connection.execute(moved, {"key": key})
    assert (await rows.take(Limit.WRITES, key, RATE, 5)).taken == 2


async def test_tells_whose_buckets_are_empty(rows: BucketRows) -> None:
    empty, other = secrets.token_hex(16), secrets.token_hex(16)
    await rows.take(Limit.DECLINES, empty, RATE, 5)
    await rows.take(Limit.DECLINES, other, RATE, 4)
    found = await rows.empty(Limit.DECLINES, RATE)
    assert found[empty] == pytest.approx(RATE.interval, abs=60)
    assert other not in found


async def test_full_buckets_leave(rows: BucketRows, engine: AsyncEngine) -> None:
    full, used = secrets.token_hex(16), secrets.token_hex(16)
    await rows.take(Limit.READS, full, Rate(1_000_000, 1.0), 1)
    await rows.take(Limit.READS, used, RATE, 1)
    while await forget_full(autocommit(engine), 100) == 100:
        pass
    async with engine.connect() as connection:
        left = set((await connection.execute(text("SELECT key FROM rate_limits"))).scalars())
    assert used in left
    assert full not in left
