"""An order from a cart, exactly once: the order's row and the cart's new state are one transaction.

The price is asked for while nothing is open. Under the cart's lock it is compared with what it rested on, and asked
for again where that has changed. The order's id comes from the cart and its attempt, so that a repeat finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.database import Sessions, autocommit, engine_of
from adapters.postgres.rows import parsed, row_of
from domain.carts import CartState
from domain.errors import Conflict, Unavailable
from domain.money import Money
from services.carts import events
from services.carts.book import LockedCart, lock_cart, look_at_cart, no_such_cart, require_same
from services.carts.changes import Asked
from services.orders import placement, quotes
from services.orders.placement import NewOrder
from services.orders.pricing import Pieces, merge
from services.orders.tables import Order
from services.rates.from_tables import by_tables
from services.rates.ports import Providers

_ORDER = text("SELECT row_to_json(orders)::text FROM orders WHERE order_id = :order_id")


class Contents(NamedTuple):
    """What of an order comes from its cart."""

    order_id: str
    cart_id: str
    customer_id: str
    items: Sequence[Pieces]
    coupon_codes: Sequence[str]


class Plan(NamedTuple):
    """What a look at the cart says: which order the checkout is about, and what it would be made of.

    Without `contents` an earlier try has stored the order.
    """

    order_id: str
    version: int
    contents: Contents | None = None


ToPlace = Callable[[Contents], NewOrder]
"""The order that a client asks for, with what its cart has."""


def order_id_of(cart_id: str, attempt: int) -> str:
    """The id of a cart's order, the same in every try; after a rejected one the next attempt has another."""
    return hashlib.sha256(f"cart:{cart_id}:{attempt}".encode()).hexdigest()[:32]


async def plan(reads: AsyncEngine, cart_id: str, asked: Asked) -> Plan:
    """What the checkout is about; nothing is locked. `reads` commits each statement by itself.

    Raises NotFound; Conflict for a cart that is empty, a guest's, over, or was ordered by another checkout, whose
    order the refusal names; InvalidInput for a key that was used for something else.
    """
    async with reads.connect() as connection:
        return await _plan_of(await look_at_cart(connection, cart_id, asked.key), asked)


async def place(
    sessions: Sessions, planned: Plan, asked: Asked, to_place: ToPlace, providers: Providers | None = None
) -> Order:
    """The order, stored now or by an earlier try. Without `providers` our own tables are asked.

    Raises as `plan` and as `placement.place` do; then nothing is stored.
    """
    engine = engine_of(sessions)
    reads = autocommit(engine)
    for _ in range(placement.QUOTES):
        if planned.contents is None:
            async with reads.connect() as connection:
                return await _stored(connection, planned.order_id)
        new = to_place(planned.contents)
        found = await _quote_and_store(engine, reads, new, planned, asked, providers or by_tables(reads))
        if isinstance(found, Order):
            return found
        planned = found
    detail = "cart or prices changed each time that the order was summed up; nothing was stored"
    raise Unavailable("prices_are_changing", detail)


async def _quote_and_store(
    engine: AsyncEngine, reads: AsyncEngine, new: NewOrder, planned: Plan, asked: Asked, providers: Providers
) -> Order | Plan:
    """The order; or, where cart or prices are others than they were, what the cart says now."""
    assert planned.contents is not None
    wanted = new.to_quote(merge(new.items))
    async with reads.connect() as connection:
        basis = await quotes.read_basis(connection, wanted)
    quote = await quotes.quote_of(basis, wanted, providers)
    async with engine.begin() as connection:
        cart = await lock_cart(connection, planned.contents.cart_id, asked.key)
        now = await _plan_of(cart, asked)
        if now.contents is None or now.version != planned.version:
            return now
        if not await quotes.still_holds(connection, quote):
            return now
        row = await placement.store(connection, new, quote)
        _take_order(cart, row, asked)
        await cart.write()
    return row


def _take_order(cart: LockedCart, order: Order, asked: Asked) -> None:
    cart.row.state, cart.row.order_id = CartState.ORDERED.value, order.order_id
    cart.row.version += 1
    cart.row.touched_at = order.created_at
    cart.note(asked.key, asked.fingerprint, order.order_id)
    total = Money(minor=order.total_minor, currency=order.currency)
    cart.tell(events.checked_out(cart.row, cart.lines, total))


async def _plan_of(cart: LockedCart, asked: Asked) -> Plan:
    row = cart.row
    if not asked.sees(row.customer_id):
        raise no_such_cart()
    if cart.operation is not None:
        require_same(cart.operation, asked.fingerprint)
        if cart.operation.order_id is not None:
            return Plan(cart.operation.order_id, row.version)
    if row.order_id is not None and asked.key is None:
        order = await _stored(cart.connection, row.order_id)
        if order.fingerprint == asked.fingerprint:
            return Plan(order.order_id, row.version)
    cart.require_open()
    cart.require_version(asked.version)
    if row.customer_id is None:
        raise Conflict("cart_of_a_guest", "merge it into the cart of a customer, who can place the order")
    if not cart.lines:
        raise Conflict("cart_empty", "there is nothing in this cart")
    codes = [row.coupon] if row.coupon else []
    items = [Pieces(line.product_id, line.quantity) for line in cart.lines]
    order_id = order_id_of(row.cart_id, row.attempt)
    return Plan(order_id, row.version, Contents(order_id, row.cart_id, row.customer_id, items, codes))


async def _stored(connection: AsyncConnection, order_id: str) -> Order:
    found = (await connection.execute(_ORDER, {"order_id": order_id})).scalar_one()
    return row_of(Order, parsed(found))
