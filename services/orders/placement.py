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
from domain.errors import InvalidInput, Unavailable
from domain.order_states import OrderStatus, PaymentStatus
from services.orders import private_fields, quotes
from services.orders.book import place_order
from services.orders.parts import adjustments_of, lines_of
from services.orders.pricing import MergedLine, Pieces, Sought, look_up, merge, require_total, unknown_customer
from services.orders.private_fields import PrivateFields
from services.orders.quotes import Basis, Quote, QuoteWanted
from services.orders.tables import Order
from services.rates.from_tables import by_tables
from services.rates.ports import Providers
from services.sealing.sealing import KeyDestroyed

QUOTES = 3
"""How often an order is summed up anew because prices change meanwhile."""

_STATUS = text("SELECT status FROM orders WHERE order_id = :order_id")
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
    shipping_option: str | None = None
    coupon_codes: Sequence[str] = ()  # in capitals
    cart_id: str | None = None  # that it comes from

    @property
    def sought(self) -> Sought:
        """What an earlier try of this order is found by."""
        return Sought(self.order_id, self.placed_by, self.key)

    def to_quote(self, lines: Mapping[str, MergedLine]) -> QuoteWanted:
        """What it would cost, its items merged to lines."""
        address, option = self.shipping_address, self.shipping_option
        return QuoteWanted(lines, self.customer_id, address, option, self.coupon_codes, self.currency)


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


async def stored_status(reads: AsyncEngine, order_id: str) -> OrderStatus | None:
    """The status of an order by its id; None where there is none."""
    async with reads.connect() as connection:
        status = (await connection.execute(_STATUS, {"order_id": order_id})).scalar_one_or_none()
    return OrderStatus(status) if status else None


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


async def place(sessions: Sessions, new: NewOrder, providers: Providers | None = None) -> Order:
    """The order, stored now or by an earlier try with the same key, whose id it keeps.

    Without `providers` our own tables are asked.

    Raises InvalidInput for what the catalogue cannot serve and for a key that was used for another order, Conflict
    when the total is not the expected one or a coupon does not apply, Unavailable where nobody can say what tax or
    shipping costs.
    """
    reads = autocommit(engine_of(sessions))
    wanted, asked = new.to_quote(merge(new.items)), providers or by_tables(reads)
    async with reads.connect() as connection:
        basis = await quotes.read_basis(connection, wanted, new.sought)
        row = basis.found.order
        if row is None and not asked.apply(basis.found.stored_rates):
            quote = await quotes.quote_of(basis, wanted, asked)
            row = await _store_or_find(connection, new, quote)
    if row is None:
        row = await _quote_and_store(reads, new, wanted, asked, basis)
    if row.fingerprint != new.fingerprint:
        raise key_reused()
    return row


async def _quote_and_store(
    reads: AsyncEngine, new: NewOrder, wanted: QuoteWanted, providers: Providers, basis: Basis
) -> Order:
    """Asks the providers while nothing is open; what changed meanwhile is quoted again."""
    for _ in range(QUOTES):
        quote = await quotes.quote_of(basis, wanted, providers)
        async with reads.connect() as connection:
            basis = await quotes.read_basis(connection, wanted, new.sought)
            if basis.found.order is not None:
                return basis.found.order
            if quote.basis.holds(basis):
                return await _store_or_find(connection, new, quote)
    detail = "prices changed each time that the order was summed up; nothing was stored"
    raise Unavailable("prices_are_changing", detail)


async def _store_or_find(connection: AsyncConnection, new: NewOrder, quote: Quote) -> Order:
    try:
        return await store(connection, new, quote)
    except IntegrityError:  # a twin of this request was faster
        row = (await look_up(connection, new.sought, new.customer_id, [])).order
        if row is None:
            raise
        return row


def key_reused() -> InvalidInput:
    """The refusal of an Idempotency-Key that comes again with another wish."""
    detail = "this Idempotency-Key was used with another body; take a new one"
    return InvalidInput("idempotency_key_reused", detail)


async def store(connection: AsyncConnection, new: NewOrder, quote: Quote) -> Order:
    """Stores the order at the quoted price, with everything that made it, in one statement.

    Raises Conflict when the total is not the expected one or a coupon does not apply, InvalidInput for a total that
    Stripe does not charge, IntegrityError where an order of that id, or of that customer and key, exists.
    """
    quotes.require_coupons(quote)
    require_total(quote.total, new.expected_total)
    totals = quote.totals
    private = await _sealed(connection, new, quote)
    row = new_row(
        Order,
        order_id=new.order_id,
        customer_id=new.customer_id,
        placed_by=new.placed_by,
        idempotency_key=new.key,
        fingerprint=new.fingerprint,
        status=OrderStatus.PLACED.value,
        payment_status=PaymentStatus.PENDING.value,
        currency=quote.currency,
        total_minor=totals.total,
        subtotal_minor=totals.subtotal,
        discount_minor=totals.discount,
        shipping_fee_minor=totals.shipping.fee,
        added_tax_minor=totals.added_tax,
        coupon_codes=quote.used_codes or None,
        shipping_option=quote.option.name if quote.option else None,
        shipping_service=quote.option.service if quote.option else None,
        payment_method=new.payment_method,
        ship_not_before=new.ship_not_before,
        **private._asdict(),
        cart_id=new.cart_id,
        created_at=(at := now()),
        updated_at=at,
    )
    await place_order(connection, row, lines_of(new.order_id, quote), adjustments_of(new.order_id, quote))
    return row


async def _sealed(connection: AsyncConnection, new: NewOrder, quote: Quote) -> PrivateFields:
    keys = quote.basis.found.keys
    address, metadata = new.shipping_address, new.metadata
    try:
        return await private_fields.sealed(connection, new.order_id, new.customer_id, address, metadata, keys)
    except KeyDestroyed:  # erased since the look-up
        raise unknown_customer() from None
