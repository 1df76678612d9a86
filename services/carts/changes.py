"""Changes of a cart: each locks its row, is done once by its key, and makes a new version.

Adds commute, so that no client needs to know the version; one that does (`If-Match`) is refused a stale one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.database import Sessions, engine_of
from domain.carts import Line, added, checked, require_one_currency, require_room
from domain.errors import BadField, Conflict, InvalidInput, Stale
from services.carts.book import LockedCart, lock_cart, lock_carts, lock_open_cart, no_such_cart, require_same
from services.carts.tables import OPEN, Cart
from services.catalogue.tables import Product
from services.customers.customers import no_such_customer

Sees = Callable[[str | None], bool]
"""Whether the caller may see the carts of a customer (None: a guest's, whose id is known to nobody else)."""

Alteration = Callable[[LockedCart], bool]
"""Changes a cart; whether it has other contents then."""

_KNOWN = text("SELECT EXISTS (SELECT FROM customers WHERE customer_id = :customer_id)")


def sees_all(_: str | None) -> bool:
    """Of a caller from whom no cart is hidden."""
    return True


@dataclass(frozen=True)
class Asked:
    """What comes with a change. `fingerprint` says what the change is: a key that comes with another is refused."""

    fingerprint: str
    key: str | None = None
    version: int | None = None  # the client's, if it names one
    sees: Sees = sees_all


def new_cart_id() -> str:
    """128 random bits as 32 hex digits: who knows a guest's cart may use it."""
    return secrets.token_hex(16)


async def open_cart(sessions: Sessions, customer_id: str | None, sees: Sees = sees_all) -> tuple[str, bool]:
    """The id of the customer's open cart, or of a new one of a guest, and whether it is new. Raises NotFound."""
    if not sees(customer_id):
        raise no_such_customer()
    async with engine_of(sessions).begin() as connection:
        while True:
            if (cart_id := await _new_cart(connection, customer_id)) is not None:
                return cart_id, True
            assert customer_id is not None
            if (cart := await lock_open_cart(connection, customer_id)) is not None:
                return cart.row.cart_id, False


async def change_cart(
    sessions: Sessions, cart_id: str, asked: Asked, alter: Alteration, product_id: str | None = None
) -> None:
    """Raises NotFound, Conflict for a cart that is over, Stale, and what `alter` raises; then nothing is changed."""
    async with engine_of(sessions).begin() as connection:
        await _alter(await lock_cart(connection, cart_id, asked.key, product_id), asked, alter)


async def change_open_cart(
    sessions: Sessions, customer_id: str, asked: Asked, alter: Alteration, product_id: str
) -> None:
    """The same with the customer's open cart, which is made where there is none. Raises NotFound for the customer.

    Who has seen that there is none knows version 0.
    """
    if not asked.sees(customer_id):
        raise no_such_customer()
    is_new = False
    async with engine_of(sessions).begin() as connection:
        while (cart := await lock_open_cart(connection, customer_id, asked.key, product_id)) is None:
            is_new = await _new_cart(connection, customer_id) is not None
        await _alter(cart, _of_a_new_cart(asked) if is_new and cart.operation is None else asked, alter)


def _of_a_new_cart(asked: Asked) -> Asked:
    """Raises Stale where the client has seen a cart: this one it cannot know."""
    if asked.version not in (None, 0):
        raise Stale("stale_cart", "there is no such cart any more; read it again", version=0)
    return replace(asked, version=None)


async def _alter(cart: LockedCart, asked: Asked, alter: Alteration) -> None:
    if not asked.sees(cart.row.customer_id):
        raise no_such_cart()
    if cart.operation is not None:
        require_same(cart.operation, asked.fingerprint)
        return
    cart.require_open()
    cart.require_version(asked.version)
    if alter(cart):
        cart.touch()
    cart.note(asked.key, asked.fingerprint)
    await cart.write()


async def _new_cart(connection: AsyncConnection, customer_id: str | None) -> str | None:
    """The id of a new cart; None where the customer has an open one. Raises NotFound for an unknown customer."""
    if customer_id is not None:
        known = (await connection.execute(_KNOWN, {"customer_id": customer_id})).scalar_one()
        if not known:
            raise no_such_customer()
    row = Cart(cart_id=new_cart_id(), customer_id=customer_id)
    statement = insert(Cart).values(**row.model_dump())
    made = await connection.execute(
        statement.on_conflict_do_nothing(index_elements=["customer_id"], index_where=OPEN)
    )
    return row.cart_id if made.rowcount else None


# what is changed -----------------------------------------------------------------------------------------------


def add(product_id: str, quantity: int) -> Alteration:
    """More pieces of a product."""

    def alter(cart: LockedCart) -> bool:
        product = _product_for(cart, product_id)
        before = line.quantity if (line := cart.line(product_id)) else 0
        return cart.put(Line(product_id, added(before, quantity), product.price_minor))

    return alter


def set_quantity(product_id: str, quantity: int) -> Alteration:
    """So many pieces of a product, whatever there were."""

    def alter(cart: LockedCart) -> bool:
        product = _product_for(cart, product_id)
        return cart.put(Line(product_id, checked(quantity), product.price_minor))

    return alter


def remove(product_id: str, quantity: int | None = None) -> Alteration:
    """Fewer pieces of a product, or none of it any more; what is not there is removed already."""

    def alter(cart: LockedCart) -> bool:
        line = cart.line(product_id)
        if line is None:
            return False
        if quantity is None or quantity >= line.quantity:
            return cart.take_out(product_id)
        return cart.put(Line(product_id, line.quantity - quantity, line.price_seen))

    return alter


def set_coupon(code: str | None) -> Alteration:
    """A coupon that was looked at before, or none."""

    def alter(cart: LockedCart) -> bool:
        before, cart.row.coupon = cart.row.coupon, code
        return before != code

    return alter


def _product_for(cart: LockedCart, product_id: str) -> Product:
    """The product that goes into the cart. Raises InvalidInput for one that there is not, Conflict for no room."""
    product = cart.product
    if product is None:
        about = [BadField("product_id", "there is no product of this id")]
        raise InvalidInput("unknown_product", "there is no product of this id", fields=about)
    require_one_currency(cart.row.currency, product.currency, product_id)
    cart.row.currency = product.currency
    if cart.line(product_id) is None:
        require_room(len(cart.lines) + 1)
    return product


# two carts -----------------------------------------------------------------------------------------------------


async def merge(
    sessions: Sessions, into: str, source: str, sees: Sees = sees_all, version: int | None = None
) -> None:
    """The lines of the cart `source` come into the cart `into`; a repeat adds nothing.

    Raises NotFound for either, Conflict for one that is over, for the same one, or for another currency, Stale where
    `into` has another version.
    """
    if into == source:
        raise Conflict("same_cart", "a cart cannot be merged into itself", fields=[BadField("from", "this cart")])
    async with engine_of(sessions).begin() as connection:
        carts = await lock_carts(connection, [into, source])
        target, other = carts.get(into), carts.get(source)
        if target is None or other is None or not (sees(target.row.customer_id) and sees(other.row.customer_id)):
            raise no_such_cart()
        if other.row.merged_into == into:
            return
        _require_mergeable(target, other)
        target.require_version(version)
        target.take_in(other)
        if other.lines:
            target.touch()
        await other.write()
        await target.write()


def _require_mergeable(target: LockedCart, other: LockedCart) -> None:
    for cart in (target, other):
        cart.require_open()
    if other.row.customer_id not in (None, target.row.customer_id):
        raise Conflict("cart_of_another", "only a guest's cart, or one of the same customer, can be merged")
    target.require_fits(other)
