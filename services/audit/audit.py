"""The audit: entries are added, read in pages, and sealed in batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.audit.chain import Seal, sealed
from services.audit.tables import AuditEntry, AuditSeal

entries = AuditEntry.__table__  # type: ignore[attr-defined]
seals = AuditSeal.__table__  # type: ignore[attr-defined]

SETTLED = timedelta(seconds=60)
"""No statement lives so long: entries that are older have no neighbour that is still to be committed."""
BATCH = 1000  # entries of one seal


class NewEntry(NamedTuple):
    """What is to be added; see `AuditEntry`."""

    issuer: str
    subject: str
    by: str
    method: str
    route: str
    about: str
    status: int
    request_id: str
    times: int = 1


async def add(connection: AsyncConnection, new: Sequence[NewEntry]) -> None:
    """Adds entries, all in one statement; their time is the database's."""
    values = [one._asdict() | {"at": func.clock_timestamp()} for one in new]
    await connection.execute(insert(entries).values(values))


async def page(
    connection: AsyncConnection, after: int, most: int, *, by: str | None = None, about: str | None = None
) -> list[dict[str, Any]]:
    """At most `most` entries behind the id `after`, as they are sealed; of one name, or about one path."""
    statement = select(entries).where(entries.c.id > after).order_by(entries.c.id).limit(most)
    if by is not None:
        statement = statement.where(entries.c.by == by)
    if about is not None:
        statement = statement.where(entries.c.about == about)
    return [_document(row._mapping) for row in await connection.execute(statement)]


async def newest(connection: AsyncConnection, most: int) -> list[dict[str, Any]]:
    """The last entries, newest first."""
    found = await connection.execute(select(entries).order_by(entries.c.id.desc()).limit(most))
    return [_document(row._mapping) for row in found]


async def read_seals(connection: AsyncConnection, after: int, most: int) -> list[Seal]:
    """At most `most` seals behind the number `after`."""
    columns = [seals.c[name] for name in Seal._fields]
    found = await connection.execute(
        select(*columns).where(seals.c.number > after).order_by(seals.c.number).limit(most)
    )
    return [Seal(*row) for row in found]


async def seal(each_alone: AsyncEngine) -> int:
    """Seals what has settled and is not sealed yet, a batch; how many entries. Of several relays one wins."""
    async with each_alone.connect() as connection:
        last = select(seals.c.number, seals.c.last_id, seals.c.entries, seals.c.digest)
        row = (await connection.execute(last.order_by(seals.c.number.desc()).limit(1))).one_or_none()
        before = Seal(*row) if row else None
        old = func.clock_timestamp() - text(f"interval '{int(SETTLED.total_seconds())} seconds'")
        waiting = (
            select(entries)
            .where(entries.c.id > (before.last_id if before else 0))
            .where(entries.c.id <= select(func.max(entries.c.id)).where(entries.c.at < old).scalar_subquery())
            .order_by(entries.c.id)
            .limit(BATCH)
        )
        found = [_document(one._mapping) for one in await connection.execute(waiting)]
        if not found:
            return 0
        new = sealed(before, found)
        added = insert_unless(seals).values(**new._asdict(), sealed_at=func.clock_timestamp())
        await connection.execute(added.on_conflict_do_nothing())
        return len(found)


def _document(row: Any) -> dict[str, Any]:
    """As it is sealed, listed and exported."""
    return dict(row) | {"at": row["at"].isoformat()}
