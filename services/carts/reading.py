"""A cart as it is read: its lines with what is in stock, and what it would cost now. Reading writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.rows import parsed, row_of
from domain.carts import CartState
from services.carts.book import no_such_cart
from services.carts.changes import Sees, sees_all
from services.carts.tables import Cart
from services.customers.customers import no_such_customer
from services.orders.pricing import Pieces, merge
from services.orders.quotes import Quote, QuoteWanted, quote
from services.rates.ports import Address, Providers

_LINES = """
    (SELECT json_agg(json_build_object(
                'product_id', product_id, 'quantity', quantity, 'price_seen', price_seen,
                'available', on_hand - reserved) ORDER BY line_number)::text
       FROM cart_lines LEFT JOIN stock USING (product_id) WHERE cart_lines.cart_id = carts.cart_id)
"""
_CART = text(f"""
    SELECT row_to_json(carts)::text AS cart, {_LINES} AS lines FROM carts WHERE cart_id = :cart_id
""")  # noqa: S608  # our own words
_OPEN_CART = text(f"""
    SELECT row_to_json(carts)::text AS cart, {_LINES} AS lines
      FROM customers LEFT JOIN carts ON carts.customer_id = customers.customer_id AND state = 'open'
     WHERE customers.customer_id = :customer_id
""")  # noqa: S608
_LIST = """
    SELECT row_to_json(carts)::text AS cart,
           (SELECT sum(quantity) FROM cart_lines WHERE cart_lines.cart_id = carts.cart_id) AS pieces
      FROM carts WHERE {whose} AND state = :state AND (touched_at, cart_id) < (:touched_at, :cart_id)
     ORDER BY touched_at DESC, cart_id DESC LIMIT :most
"""
_ALL, _OF_CUSTOMER = text(_LIST.format(whose="true")), text(_LIST.format(whose="customer_id = :customer_id"))


class ReadLine(NamedTuple):
    """A line and how many pieces of its product can be ordered now."""

    product_id: str
    quantity: int
    price_seen: int
    available: int


@dataclass(frozen=True)
class CartRead:
    """A cart as it stands; `row` is None for a customer who has no open one."""

    row: Cart | None
    lines: Sequence[ReadLine] = ()

    @property
    def pieces(self) -> list[Pieces]:
        """What it wants."""
        return [Pieces(line.product_id, line.quantity) for line in self.lines]


class ListedCart(NamedTuple):
    """A cart in a list, with how many pieces it wants in all."""

    row: Cart
    pieces: int


async def read_cart(connection: AsyncConnection, cart_id: str, sees: Sees = sees_all) -> CartRead:
    """Raises NotFound for a cart that is not to be seen."""
    found = (await connection.execute(_CART, {"cart_id": cart_id})).one_or_none()
    if found is None:
        raise no_such_cart()
    cart = _read(found)
    if cart.row is None or not sees(cart.row.customer_id):
        raise no_such_cart()
    return cart


async def read_open_cart(connection: AsyncConnection, customer_id: str, sees: Sees = sees_all) -> CartRead:
    """The customer's open cart. Raises NotFound for a customer who is not to be seen."""
    found = (await connection.execute(_OPEN_CART, {"customer_id": customer_id})).one_or_none()
    if found is None or not sees(customer_id):
        raise no_such_customer()
    return _read(found)


async def list_carts(
    connection: AsyncConnection, state: CartState, most: int, after: tuple[Any, str], customer_id: str | None = None
) -> list[ListedCart]:
    """At most `most`, those that were touched last first; `after` is the time and id of the one before them."""
    touched_at, cart_id = after
    asked = {"state": state.value, "touched_at": touched_at, "cart_id": cart_id, "most": most}
    if customer_id is None:
        rows = (await connection.execute(_ALL, asked)).all()
    else:
        rows = (await connection.execute(_OF_CUSTOMER, asked | {"customer_id": customer_id})).all()
    return [ListedCart(row_of(Cart, parsed(row.cart)), int(row.pieces or 0)) for row in rows]


def _read(found: Any) -> CartRead:
    if found.cart is None:
        return CartRead(None)
    lines = [
        ReadLine(line["product_id"], line["quantity"], line["price_seen"], line["available"] or 0)
        for line in parsed(found.lines or "[]")
    ]
    return CartRead(row_of(Cart, parsed(found.cart)), lines)


# prices --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Terms:
    """What decides on a cart's price beside its lines; a coupon takes the place of the cart's own."""

    address: Address | None = None
    shipping_option: str | None = None
    coupon: str | None = None


NO_TERMS = Terms()


@dataclass(frozen=True)
class Priced:
    """What a cart would cost now. Without an address tax and fee may be still to come: `is_whole` says so."""

    cart: CartRead
    quote: Quote | None = None  # None for an empty cart
    is_whole: bool = True


async def price(reads: AsyncEngine, cart: CartRead, providers: Providers, terms: Terms = NO_TERMS) -> Priced:
    """The cart at today's prices; without an address of the goods alone, where others depend on one.

    Raises as `quote` does. A coupon that does not apply is part of the answer.
    """
    if cart.row is None or not cart.lines:
        return Priced(cart)
    coupon = terms.coupon or cart.row.coupon
    wanted = QuoteWanted(
        merge(cart.pieces),
        customer_id=cart.row.customer_id,
        address=terms.address,
        shipping_option=terms.shipping_option,
        coupon_codes=[coupon] if coupon else [],
        goods_only=terms.address is None,
    )
    found = await quote(reads, wanted, providers)
    is_whole = terms.address is not None or not providers.apply(found.basis.found.stored_rates)
    return Priced(cart, found, is_whole)
