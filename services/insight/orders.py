"""Orders as their rows have them, with their lines, money and parcel: it works with workers and engine down.

Reads only, over the tables of several areas.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, Select, Text, bindparam, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.cancellation import TABLE, Decision
from domain.identities import EVERYTHING, Visible
from domain.order_states import OrderStatus
from domain.texts import quote
from services.orders.named import no_such_order
from services.orders.private_fields import metadata_of
from services.orders.tables import CancelWish, Order, OrderAdjustment, OrderLine, TimelineEntry
from services.orders.visible import IS_VISIBLE, owner_of
from services.payments.tables import Payment
from services.sealing.sealing import KEYS_OF, opener
from services.shipping.tables import ShipmentRow
from services.texts import texts

orders = Order.__table__  # type: ignore[attr-defined]
lines = OrderLine.__table__  # type: ignore[attr-defined]
sold = lines.alias("sold")
parts = OrderAdjustment.__table__  # type: ignore[attr-defined]
timeline = TimelineEntry.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]
payments = Payment.__table__  # type: ignore[attr-defined]
wishes = CancelWish.__table__  # type: ignore[attr-defined]
REFUSED = [rule.code for rule in TABLE.values() if rule.decision is Decision.REFUSED]

SummaryRow = Any
"""The columns of `orders`; `item_rows`, the lines as [product id, quantity, price, dropped, discount, tax];
`part_rows`, the adjustments as [kind, name, code, amount, rate, inclusive], None without any; `captured_minor` and
`refunded_minor`, None without a payment; `carrier`, `tracking_number`, `parcel_status` and `parcel_updated_at`, None
without a shipment. Money is in minor units, a rate in parts per million."""

Entry = dict[str, Any]
"""A timeline row: sequence, at (ISO 8601), from, to, what and by; texts are quoted in `what`."""


@dataclass(frozen=True)
class OrderFilter:
    """Which orders a list shows; None is no condition."""

    status: OrderStatus | None = None
    customer_id: str | None = None
    product_id: str | None = None
    since: datetime | None = None  # placed at or after
    before: datetime | None = None  # placed before


@dataclass(frozen=True)
class OrderRead:
    """One order read in one statement, so that its status, timeline and parcel belong together.

    The texts that the timeline quotes are read after it: what was written never changes.
    """

    summary: SummaryRow
    timeline: list[Entry]
    refused_cancels: dict[str, int]  # by code; the timeline has one row of each code
    payment_intent_id: str | None  # of the latest payment


async def read_order(reads: AsyncEngine, order_id: str, visible: Visible = EVERYTHING) -> OrderRead:
    """Everything about one order. Raises NotFound for one that does not exist, or is not to be seen."""
    async with reads.connect() as connection:
        row = (await connection.execute(_one_order(), {"order_id": order_id, **owner_of(visible)})).one_or_none()
        entries = await _with_words(connection, row.timeline_rows) if row else []
        opened = await _opened(connection, row) if row else None
    if row is None:
        raise no_such_order()
    return OrderRead(opened, entries, row.refused_cancels or {}, row.payment_intent_id)


async def require_visible(reads: AsyncEngine, order_id: str, visible: Visible) -> None:
    """Raises NotFound for an order that does not exist, or is not to be seen."""
    query = select(orders.c.order_id).where(orders.c.order_id == order_id, IS_VISIBLE)
    async with reads.connect() as connection:
        if (await connection.execute(query, owner_of(visible))).scalar_one_or_none() is None:
            raise no_such_order()


async def read_timeline(reads: AsyncEngine, order_id: str, after: int, visible: Visible = EVERYTHING) -> list[Entry]:
    """The rows that follow the sequence `after`. Raises NotFound as `read_order` does."""
    query = select(_timeline_rows(after)).where(orders.c.order_id == order_id, IS_VISIBLE)
    async with reads.connect() as connection:
        found = (await connection.execute(query, owner_of(visible))).scalar_one_or_none()
        if found is None:
            raise no_such_order()
        return await _with_words(connection, found)


@dataclass(frozen=True)
class Timeline:
    """An order's rows that follow those that the reader has, and how the order stands."""

    status: str  # of `OrderStatus`, or of a later version of it
    version: int  # the sequence of the last row
    entries: list[Entry]


async def read_timelines(reads: AsyncEngine, seen: Mapping[str, int]) -> dict[str, Timeline]:
    """Of each order the rows that follow the sequence `seen`, by order; one that does not exist is left out."""
    asked = {"order_ids": list(seen), "seen": list(seen.values())}
    async with reads.connect() as connection:
        found = (await connection.execute(_grown(), asked)).all()
        entries = await _with_words(connection, [entry for row in found for entry in row.timeline_rows])
    of_row = iter(entries)
    return {
        row.order_id: Timeline(row.status, row.version, list(islice(of_row, len(row.timeline_rows)))) for row in found
    }


async def list_orders(
    reads: AsyncEngine,
    wanted: OrderFilter,
    most: int,
    after: tuple[datetime, str] | None = None,
    visible: Visible = EVERYTHING,
) -> Sequence[SummaryRow]:
    """At most `most` orders, the newest first; `after` is time and id of the last one that the caller has."""
    placed = _placed(wanted)
    statement = _filtered(wanted).order_by(placed.desc(), orders.c.order_id.desc())
    if visible != EVERYTHING:  # said so for the planner, which then uses the index of the customer
        statement = statement.where(orders.c.customer_id == visible.customer_id)
    if after is not None:
        statement = statement.where(tuple_(placed, orders.c.order_id) < after)
    async with reads.connect() as connection:
        found = (await connection.execute(statement.limit(most))).all()
        return [await _opened(connection, row) for row in found]


class OpenedRow:
    """A row whose metadata were sealed."""

    def __init__(self, row: Row[Any], metadata: dict[str, str]) -> None:
        self._row = row
        self.metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


async def _opened(connection: AsyncConnection, row: Row[Any]) -> SummaryRow:
    if row.contact_sealed is None:
        return row
    keys = opener(connection, row.customer_id, row.keys)
    return OpenedRow(row, row.metadata or await metadata_of(keys, row.order_id, row.contact_sealed))


@functools.cache
def _one_order() -> Select[Any]:
    """Built once, since every checkout reads its order: building it costs more than running it."""
    more = (_timeline_rows(), _latest_payment(), _refused_cancels())
    return _summaries().add_columns(*more).where(orders.c.order_id == bindparam("order_id"), IS_VISIBLE)


@functools.cache
def _grown() -> Select[Any]:
    asked = (
        func.unnest(bindparam("order_ids", type_=ARRAY(Text)), bindparam("seen", type_=ARRAY(BigInteger)))
        .table_valued("order_id", "seen")
        .render_derived()
    )
    columns = (orders.c.order_id, orders.c.status, orders.c.version, _timeline_rows(asked.c.seen))
    return select(*columns).select_from(asked.join(orders, orders.c.order_id == asked.c.order_id))


async def _with_words(connection: AsyncConnection, entries: list[Entry]) -> list[Entry]:
    """The rows as people read them: with what was written where they only name it."""
    quoted = [entry.pop("texts") or () for entry in entries]
    words = await texts.read(connection, [text_id for ids in quoted for text_id in ids])
    return [
        entry | {"what": quote(entry["what"], [words[text_id] for text_id in ids])}
        for entry, ids in zip(entries, quoted, strict=True)
    ]


def _filtered(wanted: OrderFilter) -> Select[Any]:
    statement, placed = _summaries(), _placed(wanted)
    if wanted.status is not None:
        statement = statement.where(orders.c.status == wanted.status)
    if wanted.customer_id is not None:
        statement = statement.where(orders.c.customer_id == wanted.customer_id)
    if wanted.product_id is not None:
        statement = statement.where(sold.c.order_id == orders.c.order_id, sold.c.product_id == wanted.product_id)
    if wanted.since is not None:
        statement = statement.where(placed >= wanted.since)
    if wanted.before is not None:
        statement = statement.where(placed < wanted.before)
    return statement


def _placed(wanted: OrderFilter) -> ColumnElement[datetime]:
    """When an order was placed, in the table whose index has the orders of the list one behind the other."""
    found: ColumnElement[datetime] = orders.c.created_at if wanted.product_id is None else sold.c.ordered_at
    return found


def _summaries() -> Select[Any]:
    items = func.jsonb_build_array(
        lines.c.product_id,
        lines.c.quantity,
        lines.c.unit_price_minor,
        lines.c.dropped,
        lines.c.discount_minor,
        lines.c.tax_minor,
    )
    return select(
        orders,
        select(func.jsonb_agg(aggregate_order_by(items, lines.c.line_number)))
        .where(lines.c.order_id == orders.c.order_id)
        .scalar_subquery()
        .label("item_rows"),
        _parts(),
        *_moved(),
        literal_column(
            f"CASE WHEN orders.contact_sealed IS NOT NULL THEN {KEYS_OF.format(customer='orders.customer_id')} END"
        ).label("keys"),
        shipments.c.carrier,
        shipments.c.tracking_number,
        shipments.c.parcel_status,
        shipments.c.updated_at.label("parcel_updated_at"),
    ).select_from(orders.outerjoin(shipments, shipments.c.order_id == orders.c.order_id))


def _parts() -> Any:
    """What made the total beside the prices of the lines."""
    columns = (parts.c.kind, parts.c.name, parts.c.code, parts.c.amount_minor, parts.c.rate_ppm, parts.c.inclusive)
    found = func.jsonb_agg(aggregate_order_by(func.jsonb_build_array(*columns), parts.c.number))
    return select(found).where(parts.c.order_id == orders.c.order_id).scalar_subquery().label("part_rows")


def _moved() -> list[Any]:
    """What was captured and what was given back of it, in minor units; nothing where there was no payment."""
    return [
        select(func.sum(column)).where(payments.c.order_id == orders.c.order_id).scalar_subquery().label(column.name)
        for column in (payments.c.captured_minor, payments.c.refunded_minor)
    ]


def _timeline_rows(after: Any = 0) -> Any:
    entry = func.jsonb_build_object(
        "sequence", timeline.c.sequence,
        "at", timeline.c.at,
        "from", timeline.c.from_status,
        "to", timeline.c.to_status,
        "what", timeline.c.what,
        "texts", timeline.c.text_ids,
        "by", timeline.c.by,
    )  # fmt: skip
    found = func.jsonb_agg(aggregate_order_by(entry, timeline.c.sequence))
    return (
        select(func.coalesce(found, literal_column("'[]'::jsonb")))
        .where(timeline.c.order_id == orders.c.order_id, timeline.c.sequence > after)
        .scalar_subquery()
        .label("timeline_rows")
    )


def _latest_payment() -> Any:
    return (
        select(payments.c.payment_intent_id)
        .where(payments.c.order_id == orders.c.order_id)
        .order_by(payments.c.attempt.desc())
        .limit(1)
        .scalar_subquery()
        .label("payment_intent_id")
    )


def _refused_cancels() -> Any:
    """How many cancels were refused, by code; the timeline has one row of each code."""
    counted = (
        select(wishes.c.code, func.count().label("times"))
        .where(wishes.c.order_id == orders.c.order_id, wishes.c.code.in_(REFUSED))
        .group_by(wishes.c.code)
        .correlate(orders)
        .subquery()
    )
    found = func.jsonb_object_agg(counted.c.code, counted.c.times)
    return select(found).scalar_subquery().label("refused_cancels")
