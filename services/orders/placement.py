"""Stores an order as PLACED, once: priced from the catalogue, in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.clock import now
from adapters.identities.secrets import Secret
from adapters.postgres.database import Sessions, autocommit, engine_of
from adapters.postgres.rows import new_row
from domain.errors import InvalidInput
from domain.order_states import OrderStatus, PaymentStatus
from services.orders.book import place_order
from services.orders.pricing import (
    Found,
    MergedLine,
    Pieces,
    PricedProduct,
    known_products,
    look_up,
    merge,
    price,
)
from services.orders.tables import Order, OrderLine

_STORED = text("""
    SELECT order_id, status FROM orders
     WHERE idempotency_key = :key AND (placed_by = :placed_by OR placed_by IS NULL AND customer_id = :customer_id)
     ORDER BY placed_by NULLS LAST LIMIT 1
""")  # as in `pricing.py`
_TAKEN = text("SELECT order_id FROM orders WHERE order_id = ANY (:order_ids) AND status <> 'PLACED'")


@dataclass(frozen=True)
class NewOrder:
    """An order that is to be placed; its prices come from the catalogue."""

    order_id: str  # of `new_order_id`
    key: str | None  # the client's Idempotency-Key
    fingerprint: str  # of all that the client asked for: the same key with another one is refused
    customer_id: str
    items: Sequence[Pieces]  # at least one
    payment_method: str  # a Stripe id, or a kind of payment
    placed_by: str | None = None  # the principal, to whom the key belongs
    currency: str | None = None  # what the client believes, like `expected_total`
    expected_total: Decimal | None = None  # in major units
    ship_not_before: datetime | None = None
    shipping_address: dict[str, str] | None = None
    metadata: dict[str, str] = field(default_factory=dict)


ORDER_IDS = "order ids"
"""The use of the service's secret that ids of orders are made with."""


class StoredOrder(NamedTuple):
    """The order of an earlier try of a checkout."""

    order_id: str
    status: OrderStatus


def new_order_id(secret: Secret, placed_by: str, key: str | None) -> str:
    """128 bits as 32 hex digits: drawn from the principal and the Idempotency-Key, random without one.

    Nobody without the secret can tell the id from a key that they guess.
    """
    return secrets.token_hex(16) if key is None else secret.digest(placed_by, key)[:32]


async def stored_order(reads: AsyncEngine, placed_by: str, customer_id: str, key: str) -> StoredOrder | None:
    """What an earlier try with this key has stored, whatever its id was made of; None where there is nothing."""
    asked = {"placed_by": placed_by, "customer_id": customer_id, "key": key}
    async with reads.connect() as connection:
        row = (await connection.execute(_STORED, asked)).one_or_none()
    return StoredOrder(row.order_id, OrderStatus(row.status)) if row else None


async def taken_by_workers(reads: AsyncEngine, order_ids: Collection[str]) -> set[str]:
    """Those of the orders that are no longer PLACED: a worker has begun them."""
    async with reads.connect() as connection:
        return set((await connection.execute(_TAKEN, {"order_ids": list(order_ids)})).scalars())


async def place(sessions: Sessions, new: NewOrder) -> Order:
    """The order, stored now or by an earlier try with the same key, whose id it keeps.

    Raises InvalidInput for what the catalogue cannot serve and for a key that was used for another order, Conflict
    when the catalogue's total is not the expected one.
    """
    lines = merge(new.items)
    async with autocommit(engine_of(sessions)).connect() as connection:
        found = await look_up(connection, new.order_id, new.customer_id, list(lines), new.placed_by, new.key)
        row = found.order
        try:
            if row is None:
                row = await _insert(connection, new, lines, found)
        except IntegrityError:  # a twin of this request was faster
            row = (await look_up(connection, new.order_id, new.customer_id, [], new.placed_by, new.key)).order
            if row is None:
                raise
    if row.fingerprint != new.fingerprint:
        raise key_reused()
    return row


def key_reused() -> InvalidInput:
    """The refusal of an Idempotency-Key that comes again with another wish."""
    detail = "this Idempotency-Key was used with another body; take a new one"
    return InvalidInput("idempotency_key_reused", detail)


async def _insert(connection: AsyncConnection, new: NewOrder, lines: Mapping[str, MergedLine], found: Found) -> Order:
    products = known_products(found, lines)
    amount = price(lines, products, currency=new.currency, expected=new.expected_total)
    row = new_row(
        Order,
        order_id=new.order_id,
        customer_id=new.customer_id,
        placed_by=new.placed_by,
        idempotency_key=new.key,
        fingerprint=new.fingerprint,
        status=OrderStatus.PLACED.value,
        payment_status=PaymentStatus.PENDING.value,
        currency=amount.currency,
        total_minor=amount.minor,
        payment_method=new.payment_method,
        shipping_address=new.shipping_address,
        ship_not_before=new.ship_not_before,
        order_metadata=new.metadata,
        created_at=(at := now()),
        updated_at=at,
    )
    await place_order(connection, row, _snapshot(new.order_id, lines, products))
    return row


def _snapshot(
    order_id: str, lines: Mapping[str, MergedLine], products: Mapping[str, PricedProduct]
) -> list[OrderLine]:
    """The lines at today's names and prices, which they keep."""
    return [
        new_row(
            OrderLine,
            order_id=order_id,
            product_id=product_id,
            line_number=number,
            name=products[product_id].name,
            quantity=line.quantity,
            unit_price_minor=products[product_id].price_minor,
        )
        for number, (product_id, line) in enumerate(lines.items(), start=1)
    ]
