"""An order that waits before it ships is to ship at once: who wished it is in the books, where the workflow looks."""

from __future__ import annotations

from domain.errors import Conflict
from domain.order_states import OrderStatus
from domain.steps import FenceState
from services.orders.book import LockedOrder

FENCE = "ship_now"
WAITS = frozenset([OrderStatus.PLACED, OrderStatus.RESERVED, OrderStatus.AWAITING_CUSTOMER, OrderStatus.CONFIRMED])


def hurry(order: LockedOrder, by: str) -> bool:
    """Notes the wish; False where it was noted before. Raises Conflict for an order that waits no more."""
    if order.status not in WAITS:
        detail = f"an order that is {order.status} does not wait to be shipped"
        raise Conflict("nothing_to_hurry", detail, order_id=order.row.order_id, order_status=order.status.value)
    if is_hurried(order):
        return False
    order.mark(FENCE, FenceState.DONE, {"by": by})
    order.note("to be shipped at once", by=by)
    return True


def is_hurried(order: LockedOrder) -> bool:
    """Whether somebody who may has wished it."""
    return order.state_of(FENCE) is FenceState.DONE
