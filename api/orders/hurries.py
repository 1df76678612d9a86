"""Has an order shipped at once that waits for its date, or for a change of mind."""

from __future__ import annotations

import structlog

from api.deps import Services
from api.http.authentication import Caller
from engine.calls import engine_calls
from engine.signals import signal
from services.orders.hurry import hurry
from services.orders.named import named_order
from workflows.order_fulfillment import OrderFulfillment

log = structlog.get_logger()


async def ship_now(services: Services, order_id: str, caller: Caller) -> None:
    """A repeat is told to the workflow again, which may not have heard of it.

    Raises NotFound for an unknown order, Conflict for one that waits no more, Unavailable where the engine is away.
    """
    async with named_order(services.book, order_id, caller.visible) as order:
        hurry(order, caller.by(None))
    with engine_calls():
        await signal(services.temporal, order_id, OrderFulfillment.ship_now)
    log.info("ship_now", order_id=order_id)
