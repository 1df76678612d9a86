"""Orders as clients see them, built from the rows: it works with workers, engine and far ends down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.settings import Settings
from adapters.temporal.client import trace_link
from api.orders.schemas import OrderItem, OrderLinks, OrderSummary, OrderView, ParcelView, TimelineRow
from domain.cancellation import TABLE, Decision
from domain.errors import RequestRefused
from domain.money import Money
from domain.order_states import OrderStatus
from domain.texts import quote
from services.orders.tables import CancelWish, Order, OrderLine, TimelineEntry
from services.payments.tables import Payment
from services.shipping.tables import ShipmentRow
from services.texts import texts

orders = Order.__table__  # type: ignore[attr-defined]
lines = OrderLine.__table__  # type: ignore[attr-defined]
timeline = TimelineEntry.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]
payments = Payment.__table__  # type: ignore[attr-defined]
wishes = CancelWish.__table__  # type: ignore[attr-defined]
REFUSED = [rule.code for rule in TABLE.values() if rule.decision is Decision.REFUSED]


@dataclass(frozen=True)
class OrderRecord:
    """One order read in one statement, so that its status, timeline and parcel belong together.

    The texts that the timeline quotes are read after it: what was written never changes.
    """

    view: OrderView
    payment_intent_id: str | None  # of the latest payment


def links(settings: Settings, order_id: str) -> OrderLinks:
    address = f"{settings.public_url.rstrip('/')}/api/orders/{order_id}"
    return OrderLinks(self=address, events=f"{address}/events", temporal=trace_link(settings, order_id))


async def read_order(reads: AsyncEngine, settings: Settings, order_id: str) -> OrderRecord:
    """Raises RequestRefused (404) for an order that does not exist."""
    more = (_timeline_rows(), _latest_payment(), _refused_cancels())
    query = summaries().add_columns(*more).where(orders.c.order_id == order_id)
    async with reads.connect() as connection:
        row = (await connection.execute(query)).one_or_none()
        rows = await _told(connection, row.timeline_rows) if row else []
    if row is None:
        raise no_such_order()
    summary = summarize(settings, row)
    refused = row.refused_cancels or {}
    view = OrderView.model_construct(**summary.__dict__, timeline=rows, refused_cancels=refused)
    return OrderRecord(view, row.payment_intent_id)


async def read_timeline(reads: AsyncEngine, order_id: str, after: int) -> list[TimelineRow]:
    """The rows behind the sequence `after`. Raises RequestRefused (404) for an order that does not exist."""
    query = select(_timeline_rows(after)).where(orders.c.order_id == order_id)
    async with reads.connect() as connection:
        found = (await connection.execute(query)).scalar_one_or_none()
        if found is None:
            raise no_such_order()
        return await _told(connection, found)


async def _told(connection: AsyncConnection, entries: list[dict[str, Any]]) -> list[TimelineRow]:
    """The rows as people read them: with what was written where they only name it."""
    quoted = [entry.pop("texts") or () for entry in entries]
    words = await texts.read(connection, [text_id for ids in quoted for text_id in ids])
    return [
        TimelineRow.model_validate(entry | {"what": quote(entry["what"], [words[text_id] for text_id in ids])})
        for entry, ids in zip(entries, quoted, strict=True)
    ]


def no_such_order() -> RequestRefused:
    return RequestRefused(404, "no-such-order", "there is no order of this id")


def summaries() -> Select[Any]:
    items = func.jsonb_build_array(lines.c.product_id, lines.c.quantity, lines.c.unit_price_minor, lines.c.dropped)
    return select(
        orders,
        select(func.jsonb_agg(aggregate_order_by(items, lines.c.line_number)))
        .where(lines.c.order_id == orders.c.order_id)
        .scalar_subquery()
        .label("item_rows"),
        *_moved(),
        shipments.c.carrier,
        shipments.c.tracking_number,
        shipments.c.parcel_status,
        shipments.c.updated_at.label("parcel_updated_at"),
    ).select_from(orders.outerjoin(shipments, shipments.c.order_id == orders.c.order_id))


def _moved() -> list[Any]:
    """What was captured and what was given back of it, in minor units; nothing where there was no payment."""
    return [
        select(func.sum(column)).where(payments.c.order_id == orders.c.order_id).scalar_subquery().label(column.name)
        for column in (payments.c.captured_minor, payments.c.refunded_minor)
    ]


def _timeline_rows(after: int = 0) -> Any:
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


def summarize(settings: Settings, row: Row[Any]) -> OrderSummary:
    def money(minor: int) -> str:
        return Money(minor=minor, currency=row.currency).decimal

    is_part = bool(row.captured_minor) and row.captured_minor != row.total_minor
    return OrderSummary(
        order_id=row.order_id,
        status=OrderStatus(row.status),
        payment_status=row.payment_status,
        customer_id=row.customer_id,
        currency=row.currency,
        items=[
            OrderItem(product_id=product_id, quantity=quantity, price=money(price), dropped=dropped)
            for product_id, quantity, price, dropped in row.item_rows
        ],
        total_amount=money(row.total_minor),
        captured_amount=money(int(row.captured_minor)) if is_part else None,
        refunded_amount=money(int(row.refunded_minor)) if row.refunded_minor else None,
        shipment=_parcel(row),
        ship_not_before=row.ship_not_before,
        metadata=row.metadata,
        refusal=row.refusal,
        hold=row.hold,
        needs_attention=row.needs_attention or row.waits_for is not None,
        waits_for=row.waits_for["cause"] if row.waits_for else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
        links=links(settings, row.order_id),
    )


def _parcel(row: Row[Any]) -> ParcelView | None:
    if row.tracking_number is None:
        return None
    return ParcelView(
        carrier=row.carrier,
        tracking_number=row.tracking_number,
        status=row.parcel_status,
        updated_at=row.parcel_updated_at,
    )
