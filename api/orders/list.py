"""The list of orders: filters, newest first, paged by cursor."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from api.http.pages import read_cursor, read_time, write_cursor
from api.orders.schemas import OrderList, OrderQuery
from api.orders.view import lines, orders, summaries, summarize


async def list_orders(reads: AsyncEngine, settings: Settings, query: OrderQuery) -> OrderList:
    """One page. Raises RequestRefused (422) for a cursor that is none."""
    statement = _filtered(query).order_by(orders.c.created_at.desc(), orders.c.order_id.desc())
    if query.cursor is not None:
        at, order_id = read_cursor(query.cursor, 2)
        statement = statement.where(tuple_(orders.c.created_at, orders.c.order_id) < (read_time(at), order_id))
    async with reads.connect() as connection:
        rows = (await connection.execute(statement.limit(query.limit + 1))).all()
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return OrderList(
        orders=[summarize(settings, row) for row in page],
        next_cursor=write_cursor(page[-1].created_at, page[-1].order_id) if more else None,
    )


def _filtered(query: OrderQuery) -> Select[Any]:
    statement = summaries()
    if query.status is not None:
        statement = statement.where(orders.c.status == query.status)
    if query.customer_id is not None:
        statement = statement.where(orders.c.customer_id == query.customer_id)
    if query.product_id is not None:
        wanted = select(lines.c.order_id).where(
            lines.c.order_id == orders.c.order_id, lines.c.product_id == query.product_id
        )
        statement = statement.where(exists(wanted))
    if query.from_ is not None:
        statement = statement.where(orders.c.created_at >= query.from_)
    if query.to is not None:
        statement = statement.where(orders.c.created_at < query.to)
    return statement
