"""Takes a line that cannot be shipped out of a confirmed order: its stock is free again, and it is not captured."""

from __future__ import annotations

import structlog

from api.deps import Services
from api.http.authentication import Caller
from api.orders.schemas import DropWanted
from services.inventory import reservations
from services.orders import line_drops
from services.orders.named import named_order
from services.shipping.book import shipment_of

log = structlog.get_logger()


async def drop_line(services: Services, order_id: str, product_id: str, wanted: DropWanted, caller: Caller) -> None:
    """A line that was dropped before is left as it is.

    Raises NotFound for an unknown order or line, Conflict where it is too early or too late, or where nothing else
    would be left: then the order is to be canceled.
    """
    by = caller.by(wanted.by)
    async with named_order(services.book, order_id, caller.visible) as order:
        has_parcel = shipment_of(order) is not None
        dropped = await line_drops.drop_line(order, product_id, has_parcel=has_parcel, reason=wanted.reason, by=by)
        if dropped:
            await reservations.give_back(order, product_id)
            log.info("line_dropped", order_id=order_id, product_id=product_id)
