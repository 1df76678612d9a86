"""Hints about stock for other services: a product became scarce, or is back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.inventory import HintKind
from services.inventory.tables import StockHint

stock_hints = StockHint.__table__  # type: ignore[attr-defined]


class Hint(NamedTuple):
    """One hint; `event_id` is of the change that it tells of."""

    event_id: str
    product_id: str
    kind: HintKind
    on_hand: int
    at: datetime


async def note(connection: AsyncConnection, hints: Sequence[Hint]) -> None:
    """Keeps hints; one of an event that has its hint already changes nothing."""
    statement = insert(StockHint).on_conflict_do_nothing(index_elements=["event_id"])
    await connection.execute(statement, [hint._asdict() for hint in hints])


async def latest(connection: AsyncConnection, product_id: str, most: int = 20) -> list[Hint]:
    """The product's hints, newest first."""
    statement = (
        select(*(stock_hints.c[name] for name in Hint._fields))
        .where(stock_hints.c.product_id == product_id)
        .order_by(stock_hints.c.at.desc())
        .limit(most)
    )
    rows = (await connection.execute(statement)).all()
    return [Hint(row.event_id, row.product_id, HintKind(row.kind), row.on_hand, row.at) for row in rows]
