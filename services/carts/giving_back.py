"""A rejected order gives its cart back, in the transaction that ends the order: nothing is typed in twice."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.carts import CartState
from domain.errors import Conflict
from services.carts.book import LockedCart, lock_carts
from services.orders.book import LockedOrder

_OTHER_OPEN = text("""
    SELECT cart_id FROM carts WHERE customer_id = :customer_id AND state = 'open' AND cart_id <> :cart_id
""")


async def give_back(order: LockedOrder) -> None:
    """The order's cart is open again, for its next attempt; a repeat changes nothing.

    If its customer has begun a new one meanwhile, the lines move there. Where they do not fit, in another currency
    or for their number, they stay in the old cart, which has expired.
    """
    assert order.row.cart_id is not None
    while True:
        cart, newer = await _locked(order.connection, order.row.cart_id, order.row.customer_id)
        if cart is None or cart.state is not CartState.ORDERED or cart.row.order_id != order.row.order_id:
            return
        cart.row.attempt += 1
        if newer is not None:
            await _move(cart, newer)
            return
        cart.row.state, cart.row.order_id = CartState.OPEN.value, None
        cart.touch()
        try:
            async with order.connection.begin_nested():
                await cart.write()
            return
        except IntegrityError:  # the customer began a new cart just now: there is one to move to
            continue


async def _locked(
    connection: AsyncConnection, cart_id: str, customer_id: str
) -> tuple[LockedCart | None, LockedCart | None]:
    """The cart, and the customer's other cart that is open, both locked."""
    asked = {"customer_id": customer_id, "cart_id": cart_id}
    other = (await connection.execute(_OTHER_OPEN, asked)).scalar_one_or_none()
    carts = await lock_carts(connection, [cart_id, *([other] if other else [])])
    newer = carts.get(other) if other else None
    return carts.get(cart_id), newer if newer is not None and newer.state is CartState.OPEN else None


async def _move(cart: LockedCart, newer: LockedCart) -> None:
    try:
        newer.require_fits(cart)
    except Conflict:
        cart.row.state, cart.row.order_id = CartState.EXPIRED.value, None
    else:
        newer.take_in(cart)
        newer.touch()
        await newer.write()
    await cart.write()
