"""Takes a line that cannot be shipped out of a confirmed order, so that it is not captured.

The caller releases the line's stock in the same transaction: stock is an area that knows orders, not the reverse.
"""

from __future__ import annotations

from domain.errors import Conflict, NotFound
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.texts import PLACE, TextKind
from services.orders.book import LockedOrder
from services.orders.tables import OrderLine
from services.texts import texts


async def drop_line(
    order: LockedOrder, product_id: str, *, has_parcel: bool, reason: str | None = None, by: str | None = None
) -> bool:
    """Whether the line was dropped now; False where it was dropped before, and nothing was written.

    `has_parcel` says whether the order has a shipment. Raises NotFound for a product that is not in the order,
    Conflict where it is too early or too late, or nothing else would be left to pay.
    """
    line = next((line for line in order.lines() if line.product_id == product_id), None)
    if line is None:
        raise NotFound("no_such_line", "the order has no line of this product")
    if line.dropped:
        return False
    _require_droppable(order, line, has_parcel)
    line.dropped = True
    what, quoted = f"line dropped, {line.quantity} x {line.product_id}", []
    if reason:
        quoted = [await texts.keep(order.session, TextKind.DROP_REASON, reason, order_id=order.row.order_id)]
        what = f"{what}: {PLACE}"
    order.note(what, by=by or "operations", texts=quoted)
    order.emit(EventName.INVENTORY_RELEASED, reason=f"line dropped: {line.product_id}")
    return True


def _require_droppable(order: LockedOrder, line: OrderLine, has_parcel: bool) -> None:
    if order.status is not OrderStatus.CONFIRMED:
        raise _refused(order, "line_not_droppable", f"only a CONFIRMED order can lose a line (it is {order.status})")
    if has_parcel:
        raise _refused(order, "already_shipping", "the parcel is on its way to the carrier: give a refund instead")
    others = [other for other in order.lines() if not other.dropped and other is not line]
    free = order.total.minor > 0 and not any(other.paid.total for other in others)
    if not others or free:
        raise _refused(order, "last_line", "nothing else would be left to pay: cancel the order")


def _refused(order: LockedOrder, code: str, detail: str) -> Conflict:
    return Conflict(code, detail, order_id=order.row.order_id, order_status=order.status.value)
