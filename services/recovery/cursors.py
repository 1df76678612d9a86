"""How far the scheduled jobs have got. A cursor only moves forward, whoever comes late."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from services.recovery.tables import Cursor


async def cursor_of(session: AsyncSession, name: str) -> datetime | None:
    """The time up to which the job has got; None before its first run."""
    row = await session.get(Cursor, name)
    return row.at if row else None


async def position_of(session: AsyncSession, name: str) -> tuple[datetime | None, str | None]:
    """The cursor's time, and how far the job has got after it, in words of the job's own."""
    row = await session.get(Cursor, name)
    return (row.at, row.value) if row else (None, None)


async def move_cursor(session: AsyncSession, name: str, to: datetime, value: str | None = None) -> None:
    """Moves the job's cursor to a time, unless it is there or further already."""
    new = insert(Cursor).values(name=name, at=to, value=value)
    moves = new.on_conflict_do_update(
        index_elements=["name"],
        set_={"at": new.excluded.at, "value": new.excluded.value},
        where=col(Cursor.at) <= new.excluded.at,
    )
    await (await session.connection()).execute(moves)


async def engine_of_orders(session: AsyncSession, engine: str) -> str:
    """The id of the Temporal namespace that has the orders of this database: the first one that ever asked."""
    first = insert(Cursor).values(name="engine", at=now(), value=engine)
    await (await session.connection()).execute(first.on_conflict_do_nothing())
    return (await session.get_one(Cursor, "engine")).value or engine
