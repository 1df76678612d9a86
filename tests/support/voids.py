"""A carrier that takes its time with voids, in tests: how long ago one was requested, and when it decides."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from tests.support.orders import Shop

LATER = 1e6  # seconds until a carrier decides by itself


async def aged(shop: Shop, order_id: str, age: timedelta) -> None:
    """As if the void had been requested so long ago."""
    earlier = "UPDATE shipments SET void_requested_at = now() - CAST(:age AS interval) WHERE order_id = :order_id"
    async with shop.sessions() as session, session.begin():
        await (await session.connection()).execute(text(earlier), {"age": age, "order_id": order_id})


async def carrier_decides(shop: Shop) -> None:
    """Moves the carrier's clock to its decision about every void that was requested."""
    url = f"{shop.stack.urls.carrier}/_control/clock"
    (await shop.http.post(url, json={"advance_seconds": LATER + 1})).raise_for_status()
    await shop.carrier(refund_delay=0)


async def usual_carrier(shop: Shop) -> None:
    """Every void is confirmed at once again."""
    await shop.carrier(refund_delay=0, refund_status="refunded")
