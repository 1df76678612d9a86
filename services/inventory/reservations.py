"""An order's reservation: what it holds of the stock, taken, given back and shipped.

Each is one statement over all lines of the order. Stock rows are locked in product order, so that two orders over the
same products wait for each other instead of deadlocking; the row count of the one `UPDATE` decides. Status, timeline,
fence and event are written in the same transaction, under the order's lock.
"""

from __future__ import annotations

from sqlalchemy import text

from domain.errors import OutOfStock
from domain.events import EventName
from domain.inventory import ReservationState
from domain.order_states import OrderStatus
from domain.steps import RESERVE, FenceState
from services.inventory.events import inventory_updated
from services.orders.book import LockedOrder
from services.promotions import redemptions

_LOCK = text("SELECT product_id FROM stock WHERE product_id = ANY(:products) ORDER BY product_id FOR UPDATE")
_HOLD = text("""
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:products AS text[]), CAST(:quantities AS bigint[])) AS line (product_id, quantity)
    ), held AS (
        UPDATE stock SET reserved = stock.reserved + wanted.quantity
          FROM wanted
         WHERE stock.product_id = wanted.product_id AND stock.on_hand - stock.reserved >= wanted.quantity
     RETURNING stock.product_id, wanted.quantity
    )
    INSERT INTO reservations (order_id, product_id, quantity, state)
    SELECT :order_id, product_id, quantity, 'held' FROM held
 RETURNING product_id
""")
_LOCK_HELD = text("""
    SELECT stock.product_id FROM stock JOIN reservations USING (product_id)
     WHERE reservations.order_id = :order_id AND reservations.state = 'held'
     ORDER BY stock.product_id FOR UPDATE OF stock
""")
_RELEASE = text("""
    UPDATE stock SET reserved = stock.reserved - held.quantity
      FROM reservations AS held
     WHERE held.order_id = :order_id AND held.state = 'held' AND stock.product_id = held.product_id
       AND held.product_id = COALESCE(:product_id, held.product_id)
""")
_SHIP = text("""
    UPDATE stock SET reserved = stock.reserved - held.quantity, on_hand = stock.on_hand - held.quantity,
                     event_sequence = stock.event_sequence + 1
      FROM reservations AS held
     WHERE held.order_id = :order_id AND held.state = 'held' AND stock.product_id = held.product_id
 RETURNING stock.product_id, held.quantity, stock.on_hand, stock.event_sequence
""")
_CLOSE = text("""
    UPDATE reservations SET state = :state
     WHERE order_id = :order_id AND state = 'held' AND product_id = COALESCE(:product_id, product_id)
""")


async def reserve(order: LockedOrder) -> None:
    """Reserves every line, or nothing; a repeat writes nothing.

    The order's coupons are used up with it, under the same locks. Raises OutOfStock with the products that fall
    short, CouponRefused for a coupon that others were faster with, StepUndone where `release` came first. After an
    error the caller has to roll back.
    """
    order.require_not_undone(RESERVE)
    if order.fence(RESERVE):
        return
    short = await hold_lines(order)
    if short:
        raise OutOfStock(short)
    if order.row.coupon_codes:
        await _use_coupons(order, order.row.coupon_codes)
    order.move(OrderStatus.RESERVED, "stock reserved")
    order.mark(RESERVE, FenceState.DONE)
    order.emit(EventName.INVENTORY_RESERVED)


async def _use_coupons(order: LockedOrder, codes: list[str]) -> None:
    for event in await redemptions.take(order.connection, order.row.order_id, order.row.customer_id, codes):
        order.add(event)


async def release(order: LockedOrder, *, look_again: bool = False) -> None:
    """Gives back what the order holds, and keeps a late attempt of `reserve` from holding it again.

    With `look_again` also what is held although it was given back once.
    """
    if order.state_of(RESERVE) is FenceState.UNDONE and not look_again:
        return
    order.mark(RESERVE, FenceState.UNDONE)
    if await give_back(order):
        order.note("stock released")
        order.emit(EventName.INVENTORY_RELEASED)


async def hold_lines(order: LockedOrder) -> list[str]:
    """Reserves every line or tells which products fall short; in that case the caller must roll back."""
    lines = order.lines()
    products = [line.product_id for line in lines]
    quantities = [line.quantity for line in lines]
    if len(products) > 1:  # one row cannot be locked in the wrong order
        await order.connection.execute(_LOCK, {"products": products})
    wanted = {"order_id": order.row.order_id, "products": products, "quantities": quantities}
    held = set((await order.connection.execute(_HOLD, wanted)).scalars())
    return sorted(set(products) - held)


async def give_back(order: LockedOrder, product_id: str | None = None) -> bool:
    """Gives back what the order holds, or its one line of a product; False when it holds nothing."""
    of = {"order_id": order.row.order_id, "product_id": product_id}
    await order.connection.execute(_LOCK_HELD, of)
    released = (await order.connection.execute(_RELEASE, of)).rowcount
    await order.connection.execute(_CLOSE, {"state": ReservationState.RELEASED, **of})
    return released > 0


async def ship(order: LockedOrder) -> None:
    """Takes what the order holds out of the stock: the parcel has left. Writes an InventoryUpdated per product."""
    of = {"order_id": order.row.order_id}
    await order.connection.execute(_LOCK_HELD, of)
    for product_id, quantity, on_hand, sequence in (await order.connection.execute(_SHIP, of)).all():
        order.add(inventory_updated(product_id, -quantity, on_hand, sequence))
    await order.connection.execute(_CLOSE, {"state": ReservationState.SHIPPED, "product_id": None, **of})
