"""Buckets of turns as rows that all processes share: one statement takes what there is, and says how much."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.plain import fetch
from domain.rate_limits import Limit, Rate

# GCRA: `full_at` moves on by an interval for each turn, and is never more than `times` intervals ahead. Whoever comes
# at the same time waits for the row's lock, and finds the row as the one before has left it.
# $3: turns that are wanted, $4: seconds between two, $5: turns of a full bucket.
_FREE = "floor($5::int - extract(epoch FROM greatest(held.full_at, now()) - now()) / $4::float8 + 0.001)"
_TAKEN = f"least($3::int, {_FREE})::int"
_TAKE = f"""
    INSERT INTO rate_limits AS held (kind, key, full_at, taken)
    VALUES ($1, $2, now() + least($3::int, $5::int) * $4::float8 * interval '1 second', least($3::int, $5::int))
        ON CONFLICT (kind, key) DO UPDATE
       SET taken = {_TAKEN}, full_at = greatest(held.full_at, now()) + {_TAKEN} * $4::float8 * interval '1 second'
     WHERE {_FREE} >= 1
    RETURNING taken, extract(epoch FROM full_at - now())::float8 AS ahead
"""  # noqa: S608
_LOOK = """
    SELECT extract(epoch FROM full_at - now())::float8 AS ahead FROM rate_limits WHERE kind = $1 AND key = $2
"""
_EMPTY = """
    SELECT key, extract(epoch FROM full_at - now())::float8 AS ahead FROM rate_limits
     WHERE kind = $1 AND full_at > now() + $2::float8 * interval '1 second' LIMIT $3::int
"""
_FORGET = """
    DELETE FROM rate_limits
     WHERE ctid = ANY(ARRAY(SELECT ctid FROM rate_limits WHERE full_at < now() LIMIT $1::int FOR UPDATE SKIP LOCKED))
    RETURNING 1
"""
MOST_EMPTY = 10_000


class Bucket(NamedTuple):
    """What was taken from a bucket, and in how many seconds it is full again."""

    taken: int
    ahead: float


class Buckets(Protocol):
    """Where buckets are kept; `key` names whose it is."""

    async def take(self, kind: Limit, key: str, rate: Rate, turns: int) -> Bucket:
        """Takes so many turns, or as many as there are; none where none is left."""
        ...

    async def empty(self, kind: Limit, rate: Rate) -> dict[str, float]:
        """The keys whose buckets have no turn left, and in how many seconds each has one again."""
        ...


class BucketRows:
    """The buckets as rows of `rate_limits`; `each_alone` commits each statement by itself."""

    def __init__(self, each_alone: AsyncEngine) -> None:
        self._engine = each_alone

    async def take(self, kind: Limit, key: str, rate: Rate, turns: int) -> Bucket:
        """Takes so many turns, or as many as there are; none where none is left."""
        rows = await fetch(self._engine, _TAKE, kind.value, key, turns, rate.interval, rate.times)
        if rows:
            return Bucket(rows[0]["taken"], rows[0]["ahead"])
        seen = await fetch(self._engine, _LOOK, kind.value, key)
        return Bucket(0, seen[0]["ahead"] if seen else 0.0)

    async def empty(self, kind: Limit, rate: Rate) -> dict[str, float]:
        """The keys whose buckets have no turn left, and in how many seconds each has one again."""
        full_but_one = (rate.times - 1) * rate.interval
        rows = await fetch(self._engine, _EMPTY, kind.value, full_but_one, MOST_EMPTY)
        return {row["key"]: rate.wait(row["ahead"]) for row in rows}


async def forget_full(each_alone: AsyncEngine, most: int) -> int:
    """Deletes rows of full buckets, at most so many; how many."""
    return len(await fetch(each_alone, _FORGET, most))
