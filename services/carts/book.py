"""A cart, its lines and its events, changed together under the lock of the cart's row.

Carts are locked after the order that they became, and two carts by their ids: so nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.clock import now
from adapters.postgres.rows import Rows, new_row, parsed, row_of
from domain.carts import CartState, Line, merged, require_one_currency
from domain.errors import Conflict, InvalidInput, NotFound, Stale
from services.carts import events
from services.carts.tables import Cart, CartLine, CartOperation
from services.catalogue.tables import Product
from services.outbox.tables import OutboxEvent

_LOCK = text("SELECT row_to_json(carts)::text FROM carts WHERE cart_id = :cart_id FOR UPDATE")
_LOOK = text("SELECT row_to_json(carts)::text FROM carts WHERE cart_id = :cart_id")
_LOCK_OPEN = text("""
    SELECT row_to_json(carts)::text FROM carts WHERE customer_id = :customer_id AND state = 'open' FOR UPDATE
""")
_LOCK_ALL = text("""
    SELECT row_to_json(carts)::text FROM carts WHERE cart_id = ANY (:cart_ids) ORDER BY cart_id FOR UPDATE
""")
# A statement of its own, since it has to see what was committed while the lock was waited for. A customer's key is
# known in all their carts: the first try of an add may lie in one that was ordered meanwhile.
_CONTENTS = text("""
    SELECT (SELECT json_agg(line ORDER BY line_number)::text
              FROM cart_lines AS line WHERE cart_id = :cart_id) AS lines,
           (SELECT row_to_json(operation)::text
              FROM cart_operations AS operation JOIN carts USING (cart_id)
             WHERE key = :key AND (cart_id = :cart_id OR customer_id = :customer_id) LIMIT 1) AS operation,
           (SELECT row_to_json(products)::text FROM products WHERE product_id = :product_id) AS product
""")
_TAKE_OUT = text("DELETE FROM cart_lines WHERE cart_id = :cart_id AND product_id = ANY (:product_ids)")


class LockedCart:
    """One cart in an open transaction that holds the lock of its row; `write` writes what was changed."""

    def __init__(
        self,
        connection: AsyncConnection,
        row: dict[str, Any],
        lines: list[dict[str, Any]],
        operation: CartOperation | None = None,
        product: Product | None = None,
    ) -> None:
        self.connection = connection
        self.operation = operation  # what was done before under the key that came with the request
        self.product = product  # the one that the request is about
        self._rows = Rows({"carts": [row], "cart_lines": lines})
        self.row = self._rows.of(Cart)[0]
        self._lines = {line.product_id: line for line in self._rows.of(CartLine)}
        self._taken_out: set[str] = set()

    # contents --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> CartState:
        """Where it is in its life, with the changes of this transaction."""
        return CartState(self.row.state)

    @property
    def lines(self) -> list[CartLine]:
        """In the order in which the products came."""
        return list(self._lines.values())

    def line(self, product_id: str) -> CartLine | None:
        """All pieces of a product; None where there are none."""
        return self._lines.get(product_id)

    def contents(self) -> list[Line]:
        """The lines as the rules see them."""
        return [Line(line.product_id, line.quantity, line.price_seen) for line in self.lines]

    def put(self, wanted: Line) -> bool:
        """Sets the line of a product; whether it is another one now."""
        line = self._lines.get(wanted.product_id)
        if line is None:
            number = max((one.line_number for one in self.lines), default=0) + 1
            values = wanted._asdict() | {"cart_id": self.row.cart_id, "line_number": number}
            self._lines[wanted.product_id] = line = new_row(CartLine, **values)
            self._rows.add(line)
            return True
        before = (line.quantity, line.price_seen)
        line.quantity, line.price_seen = wanted.quantity, wanted.price_seen
        return before != (line.quantity, line.price_seen)

    def take_out(self, product_id: str) -> bool:
        """Removes the line of a product; False where there was none."""
        if self._lines.pop(product_id, None) is None:
            return False
        self._taken_out.add(product_id)
        if not self._lines:
            self.row.currency = None
        return True

    def require_fits(self, other: LockedCart) -> None:
        """Raises Conflict where the lines of the other cart cannot come here: for their currency, or their number."""
        if other.row.currency is not None:
            require_one_currency(self.row.currency, other.row.currency)
        merged(self.contents(), other.contents())

    def take_in(self, other: LockedCart) -> None:
        """The other cart's lines and coupon come here, and it ends."""
        for line in merged(self.contents(), other.contents()):
            self.put(line)
        self.row.currency = self.row.currency or other.row.currency
        self.row.coupon = self.row.coupon or other.row.coupon
        other.row.state, other.row.order_id = CartState.MERGED.value, None
        other.row.merged_into = self.row.cart_id
        other.row.version += 1

    # what every change does ------------------------------------------------------------------------------------

    def require_open(self) -> None:
        """Raises Conflict for a cart that is over; one that was ordered names its order."""
        if self.state is CartState.ORDERED:
            raise Conflict("cart_ordered", "an order was placed from this cart", order_id=self.row.order_id)
        if self.state is not CartState.OPEN:
            raise Conflict(f"cart_{self.state}", f"this cart is {self.state}; take a new one")

    def require_version(self, version: int | None) -> None:
        """Raises Stale where the client has seen another version; None is any."""
        if version not in (None, self.row.version):
            detail = f"the cart is at version {self.row.version} now; read it again"
            raise Stale("stale_cart", detail, version=self.row.version)

    def note(self, key: str | None, fingerprint: str, order_id: str | None = None) -> None:
        """What was done under the client's key, if there is one: the same again does nothing more."""
        if key is not None:
            operation = {"cart_id": self.row.cart_id, "key": key, "fingerprint": fingerprint}
            self._rows.add(new_row(CartOperation, **operation, order_id=order_id))

    def touch(self) -> None:
        """It has other contents, as its event tells."""
        self.row.version += 1
        self.row.touched_at = now()
        self.tell(events.updated(self.row, self.lines))

    def tell(self, event: OutboxEvent) -> None:
        """Adds an event of the cart to the outbox."""
        self._rows.add(event)

    async def write(self) -> None:
        """Writes all that was changed."""
        if self._taken_out:
            gone = {"cart_id": self.row.cart_id, "product_ids": sorted(self._taken_out)}
            await self.connection.execute(_TAKE_OUT, gone)
        if (changes := self._rows.take_changes()) is not None:
            await changes.execute(self.connection)


async def lock_cart(
    connection: AsyncConnection, cart_id: str, key: str | None = None, product_id: str | None = None
) -> LockedCart:
    """The cart, locked until the transaction ends, with what was done under the key. Raises NotFound."""
    found = (await connection.execute(_LOCK, {"cart_id": cart_id})).scalar_one_or_none()
    if found is None:
        raise no_such_cart()
    return await _with_contents(connection, parsed(found), key, product_id)


async def look_at_cart(connection: AsyncConnection, cart_id: str, key: str | None = None) -> LockedCart:
    """The same without its lock: what is seen may change at once, and nothing can be written. Raises NotFound."""
    found = (await connection.execute(_LOOK, {"cart_id": cart_id})).scalar_one_or_none()
    if found is None:
        raise no_such_cart()
    return await _with_contents(connection, parsed(found), key, None)


async def lock_open_cart(
    connection: AsyncConnection, customer_id: str, key: str | None = None, product_id: str | None = None
) -> LockedCart | None:
    """The customer's open cart, locked likewise; None where there is none now."""
    found = (await connection.execute(_LOCK_OPEN, {"customer_id": customer_id})).scalar_one_or_none()
    return await _with_contents(connection, parsed(found), key, product_id) if found else None


async def lock_carts(connection: AsyncConnection, cart_ids: Iterable[str]) -> dict[str, LockedCart]:
    """Those of the carts that exist, locked in the order in which everybody locks several."""
    rows = (await connection.execute(_LOCK_ALL, {"cart_ids": list(cart_ids)})).scalars().all()
    return {cart.row.cart_id: cart for cart in await contents_of(connection, map(parsed, rows))}


async def contents_of(connection: AsyncConnection, rows: Iterable[dict[str, Any]]) -> list[LockedCart]:
    """Carts from the JSON of rows that the caller has locked."""
    return [await _with_contents(connection, row, None, None) for row in rows]


async def _with_contents(
    connection: AsyncConnection, row: dict[str, Any], key: str | None, product_id: str | None
) -> LockedCart:
    asked = {"cart_id": row["cart_id"], "customer_id": row["customer_id"], "key": key, "product_id": product_id}
    found = (await connection.execute(_CONTENTS, asked)).one()
    operation = row_of(CartOperation, parsed(found.operation)) if found.operation else None
    product = row_of(Product, parsed(found.product)) if found.product else None
    return LockedCart(connection, row, parsed(found.lines or "[]"), operation, product)


def no_such_cart() -> NotFound:
    """The refusal of a cart's id that is not known, or not to be seen."""
    return NotFound("no_such_cart", "there is no cart of this id")


def require_same(operation: CartOperation, fingerprint: str) -> None:
    """Raises InvalidInput for a key that comes again with another wish."""
    if operation.fingerprint != fingerprint:
        detail = "this Idempotency-Key was used for something else with this cart; take a new one"
        raise InvalidInput("idempotency_key_reused", detail)
