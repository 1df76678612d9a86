"""Where tombstones and database disagree about who is erased."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_STILL_THERE = text("""
    SELECT customers.customer_id FROM customers
     WHERE customers.customer_id = ANY (:customer_ids)
       AND (erased_at IS NULL OR EXISTS (SELECT FROM customer_keys
                                          WHERE customer_keys.customer_id = customers.customer_id
                                            AND wrapped IS NOT NULL AND (purpose = 'contact' OR due_at IS NULL)))
     ORDER BY customers.customer_id
""")
_ERASED = text("SELECT customer_id FROM customers WHERE erased_at IS NOT NULL")


class Differences(NamedTuple):
    """By the ids of customers."""

    not_erased: list[str]  # though they have a tombstone: the database was restored
    without_a_stone: list[str]  # erased, and a restore would bring them back


async def differences(connection: AsyncConnection, stones: Collection[str]) -> Differences:
    """Whether everybody with a tombstone is erased, and everybody who is erased has one."""
    there = list((await connection.execute(_STILL_THERE, {"customer_ids": list(stones)})).scalars())
    erased = set((await connection.execute(_ERASED)).scalars())
    return Differences(there, sorted(erased.difference(stones)))
