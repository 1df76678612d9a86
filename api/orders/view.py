"""Orders as clients see them, built from what the rows say."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from adapters.temporal.client import trace_link
from api.http.pages import read_cursor, read_time, write_cursor
from api.orders.part_schemas import OrderItem
from api.orders.parts import parts_of
from api.orders.schemas import (
    OrderLinks,
    OrderList,
    OrderQuery,
    OrderSummary,
    OrderView,
    ParcelView,
    TimelineRow,
)
from domain.identities import EVERYTHING, Visible
from domain.money import Money
from domain.order_states import OrderStatus
from services.insight import orders as order_reads
from services.insight.orders import OrderFilter, SummaryRow


@dataclass(frozen=True)
class OrderRecord:
    """An order as clients see it, and what only its answer to a checkout needs."""

    view: OrderView
    payment_intent_id: str | None  # of the latest payment


def links(settings: Settings, order_id: str) -> OrderLinks:
    address = f"{settings.public_url.rstrip('/')}/api/orders/{order_id}"
    return OrderLinks(self=address, events=f"{address}/events", temporal=trace_link(settings, order_id))


async def read_order(
    reads: AsyncEngine, settings: Settings, order_id: str, visible: Visible = EVERYTHING
) -> OrderRecord:
    """Raises NotFound for an order that is not to be seen."""
    found = await order_reads.read_order(reads, order_id, visible)
    view = OrderView.model_construct(
        **summarize(settings, found.summary).__dict__,
        timeline=[TimelineRow.model_validate(entry) for entry in found.timeline],
        refused_cancels=found.refused_cancels,
    )
    return OrderRecord(view, found.payment_intent_id)


async def require_visible(reads: AsyncEngine, order_id: str, visible: Visible) -> None:
    """Raises NotFound for an order that is not to be seen; who sees all of them is told by whoever looks."""
    if visible != EVERYTHING:
        await order_reads.require_visible(reads, order_id, visible)


async def read_timeline(reads: AsyncEngine, order_id: str, after: int, visible: Visible) -> list[TimelineRow]:
    """The rows that follow the sequence `after`. Raises NotFound for an order that is not to be seen."""
    entries = await order_reads.read_timeline(reads, order_id, after, visible)
    return [TimelineRow.model_validate(entry) for entry in entries]


async def list_orders(reads: AsyncEngine, settings: Settings, query: OrderQuery, visible: Visible) -> OrderList:
    """One page, the newest first. Raises InvalidInput for a cursor that is none."""
    after = None
    if query.cursor is not None:
        at, order_id = read_cursor(query.cursor, 2)
        after = (read_time(at), order_id)
    wanted = OrderFilter(
        status=query.status,
        customer_id=query.customer_id,
        product_id=query.product_id,
        since=query.from_,
        before=query.to,
    )
    rows = await order_reads.list_orders(reads, wanted, query.limit + 1, after, visible)
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return OrderList(
        orders=[summarize(settings, row) for row in page],
        next_cursor=write_cursor(page[-1].created_at, page[-1].order_id) if more else None,
    )


def summarize(settings: Settings, row: SummaryRow) -> OrderSummary:
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
            OrderItem(
                product_id=product_id,
                quantity=quantity,
                price=money(price),
                dropped=dropped,
                discount=money(discount) if discount else None,
                tax=money(tax) if tax else None,
            )
            for product_id, quantity, price, dropped, discount, tax in row.item_rows
        ],
        **parts_of(row),
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


def _parcel(row: SummaryRow) -> ParcelView | None:
    if row.tracking_number is None:
        return None
    return ParcelView(
        carrier=row.carrier,
        tracking_number=row.tracking_number,
        status=row.parcel_status,
        updated_at=row.parcel_updated_at,
    )
