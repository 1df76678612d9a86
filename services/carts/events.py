"""The events that tell of a cart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapters.clock import now
from domain.events import CartAbandonedData, CartCheckedOutData, CartEventData, CartItem, EventName
from domain.money import Money
from services.carts.tables import Cart, CartLine
from services.outbox.events import new_event_id, outbox_row
from services.outbox.tables import OutboxEvent

EVENT_SOURCE = "/carts"


def updated(cart: Cart, lines: Iterable[CartLine]) -> OutboxEvent:
    """That the cart has other contents. Like the others, it takes its number under the lock of the cart's row."""
    return _row(cart, CartEventData(**_common(cart, lines, EventName.CART_UPDATED)))


def checked_out(cart: Cart, lines: Iterable[CartLine], total: Money) -> OutboxEvent:
    """That the order `cart.order_id` was placed from it."""
    common = _common(cart, lines, EventName.CART_CHECKED_OUT)
    order = {"order_id": cart.order_id, "currency": total.currency, "total_amount": total.decimal}
    return _row(cart, CartCheckedOutData(**common | order))


def abandoned(cart: Cart, lines: Iterable[CartLine]) -> OutboxEvent:
    """That nobody has touched it for a while."""
    common = _common(cart, lines, EventName.CART_ABANDONED)
    return _row(cart, CartAbandonedData(**common, touched_at=cart.touched_at))


def _row(cart: Cart, data: CartEventData) -> OutboxEvent:
    cart.event_sequence += 1
    return outbox_row(EVENT_SOURCE, cart.cart_id, cart.event_sequence, data)


def _common(cart: Cart, lines: Iterable[CartLine], name: EventName) -> dict[str, Any]:
    return {
        "event_id": new_event_id(),
        "event_type": name,
        "timestamp": now(),
        "cart_id": cart.cart_id,
        "customer_id": cart.customer_id,
        "version": cart.version,
        "items": [CartItem(product_id=line.product_id, quantity=line.quantity) for line in lines],
    }
