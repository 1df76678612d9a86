"""Takes a line that cannot be shipped out of a confirmed order: its stock is free again, and it is not captured."""

from __future__ import annotations

import structlog

from api.deps import Services
from api.orders.schemas import DropWanted
from api.orders.view import no_such_order
from domain.errors import RequestRefused
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.texts import PLACE, TextKind
from services.inventory import stock
from services.orders.book import LockedOrder, lock_order
from services.orders.tables import OrderLine
from services.shipping.tables import ShipmentRow
from services.texts import texts

log = structlog.get_logger()


async def drop_line(services: Services, order_id: str, product_id: str, wanted: DropWanted) -> None:
    """A line that was dropped before is left as it is.

    Raises RequestRefused: 404 for an unknown order or line, 409 with a code where it is too early or too late, or
    where nothing else would be left: then the order is to be canceled.
    """
    try:
        async with services.sessions() as session, session.begin():
            order = await lock_order(session, order_id)
            line = next((line for line in await order.lines() if line.product_id == product_id), None)
            if line is None:
                raise RequestRefused(404, "no-such-line", "the order has no line of this product")
            if not line.dropped:
                await _check(order, line)
                await _drop(order, line, wanted)
    except LookupError:
        raise no_such_order() from None


async def _check(order: LockedOrder, line: OrderLine) -> None:
    if order.status is not OrderStatus.CONFIRMED:
        raise _refused(order, "line-not-droppable", f"only a CONFIRMED order can lose a line (it is {order.status})")
    if await order.session.get(ShipmentRow, order.row.order_id) is not None:
        raise _refused(order, "already-shipping", "the parcel is on its way to the carrier: give a refund instead")
    others = [other for other in await order.lines() if not other.dropped and other is not line]
    free = order.total.minor > 0 and not any(other.unit_price_minor for other in others)
    if not others or free:
        raise _refused(order, "last-line", "nothing else would be left to pay: cancel the order")


async def _drop(order: LockedOrder, line: OrderLine, wanted: DropWanted) -> None:
    line.dropped = True
    order.session.add(line)
    await stock.release(order.session, order.row.order_id, line.product_id)
    what, quoted = f"line dropped, {line.quantity} x {line.product_id}", []
    if wanted.reason:
        kind, order_id = TextKind.DROP_REASON, order.row.order_id
        quoted = [await texts.keep(order.session, kind, wanted.reason, order_id=order_id)]
        what = f"{what}: {PLACE}"
    order.note(what, by=wanted.by or "operations", texts=quoted)
    await order.emit(EventName.INVENTORY_RELEASED, reason=f"line dropped: {line.product_id}")
    log.info("line_dropped", order_id=order.row.order_id, product_id=line.product_id)


def _refused(order: LockedOrder, code: str, detail: str) -> RequestRefused:
    return RequestRefused(409, code, detail, orderId=order.row.order_id, orderStatus=order.status.value)
