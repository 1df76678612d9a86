"""Makes what consumers keep again from the archive, beside the real tables, and says where the two differ.

The consumer's own code writes into temporary tables of the same names, which hide the real ones from it
(https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH). All is rolled back at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.routing import Wanted
from events.consumer import Consumer, routed
from services.archive import archive


@dataclass(frozen=True)
class ReadModel:
    """What of a table follows from the events alone: `columns`, and the time of a row's event as SQL."""

    table: str
    columns: tuple[str, ...]
    time: str


@dataclass(frozen=True)
class Difference:
    """A row that only one of the two has."""

    table: str
    where: str  # `missing` from the table, or `unexplained` by the archive
    row: str


@dataclass(frozen=True)
class Checked:
    """What was compared: events of the archive, rows of the tables."""

    events: int
    rows: int
    differences: Sequence[Difference]


MODELS = {
    "stock_hints": ReadModel("stock_hints", ("event_id", "product_id", "kind", "on_hand", "at"), "at"),
    "notifications": ReadModel(
        "notifications",
        ("event_id", "order_id", "customer_id", "kind"),
        "CAST(event ->> 'time' AS timestamptz)",
    ),
}
"""By consumer."""
MOST = 10_000  # differences that are looked for of each table and kind


async def check(engine: AsyncEngine, consumer: Consumer, rule: Wanted, until: datetime) -> Checked:
    """Compares what the consumer keeps of events up to `until` with what the archive makes of them.

    Later events may not have reached both yet. `engine` must have no limit for a transaction.
    """
    model = MODELS[consumer.name]
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin() as transaction:
            try:
                schema = (await connection.execute(text("SELECT current_schema()"))).scalar_one()
                await connection.execute(
                    text(f'CREATE TEMPORARY TABLE {model.table} (LIKE "{schema}".{model.table} INCLUDING ALL)')
                )
                events = await _apply_all(connection, consumer, rule, until)
                return await _compared(connection, model, schema, until, events)
            finally:
                await transaction.rollback()


async def _apply_all(connection: AsyncConnection, consumer: Consumer, rule: Wanted, until: datetime) -> int:
    count = 0
    async for page in archive.read_all(connection):
        wanted = []
        for event in page:
            goes, fault = routed(consumer, rule, event, None)
            if goes and fault is None and event.time <= until:
                wanted.append(event)
        if wanted:
            await consumer.apply(connection, wanted)
        count += len(page)
    return count


async def _compared(
    connection: AsyncConnection, model: ReadModel, schema: str, until: datetime, events: int
) -> Checked:
    columns = ", ".join(model.columns)
    real = f'SELECT {columns} FROM "{schema}".{model.table} WHERE {model.time} <= :until'  # noqa: S608
    made = f"SELECT {columns} FROM pg_temp.{model.table}"  # noqa: S608
    found = []
    for where, statement in (("missing", f"{made} EXCEPT {real}"), ("unexplained", f"{real} EXCEPT {made}")):
        rows = await connection.execute(text(f"{statement} LIMIT {MOST}"), {"until": until})
        found += [Difference(model.table, where, ", ".join(str(value) for value in row)) for row in rows]
    count = (await connection.execute(text(f"SELECT count(*) FROM ({made}) AS rows"))).scalar_one()  # noqa: S608
    return Checked(events, count, found)
