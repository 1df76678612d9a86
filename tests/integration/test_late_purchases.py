"""A purchase that was sent is over when its undo looks for the last time: no label stays live unseen."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from domain.errors import StepUndone, TryAgain
from domain.void_commands import VoidedShipment, VoidOutcome
from services.orders.book import OrderBook
from services.shipping.book import CLOCK_MARGIN, purchase_ends
from services.shipping.tables import ShipmentRow
from tests.support.held_gateways import LateAttempts
from tests.support.orders import Shop
from tests.support.steps import Steps

NOON, TEN = datetime(2026, 6, 1, 12, tzinfo=UTC), timedelta(seconds=10)
NOTHING = VoidedShipment(outcome=VoidOutcome.NOTHING)


async def time_passes(shop: Shop, order_id: str, by: timedelta) -> None:
    """For who judges by the times in our books."""
    moved = """UPDATE shipments SET buy_sent_at = buy_sent_at - CAST(:by AS interval),
                                    buy_deadline = buy_deadline - CAST(:by AS interval) WHERE order_id = :order_id"""
    async with shop.sessions() as session, session.begin():
        await (await session.connection()).execute(text(moved), {"by": by, "order_id": order_id})


async def test_a_look_between_the_saved_time_and_the_purchase_does_not_delay_the_purchase(
    shop: Shop, steps: Steps, late: LateAttempts
) -> None:
    """Two attempts made a shipment each; one looks at the other's, for ten seconds, and buys it.

    The worker dies before it learns of the label: nobody would void it.
    """
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    made = late.gate("ship_order", "create answered")
    attempt = late.begin("ship_order", order.order_id)
    await made.reached()
    await shop.fault("carrier", "shipments.buy", "before_effect")
    with pytest.raises(TryAgain):  # it has saved its shipment
        await steps.run("ship_order", order.order_id)
    looked = late.gate("ship_order", "retrieve answered")
    made.open()
    await looked.reached()
    await time_passes(shop, order.order_id, timedelta(seconds=shop.settings.carrier_timeout + 2))
    assert await steps.run("cancel_shipment", order.order_id) == NOTHING
    bought = late.gate("ship_order", "buy answered")
    looked.open()
    learns = asyncio.create_task(bought.reached())
    await asyncio.wait([attempt, learns], return_when=asyncio.FIRST_COMPLETED)
    assert await steps.effects("carrier", order.order_id) == []
    with pytest.raises(StepUndone):
        await attempt
    learns.cancel()


async def test_a_purchase_is_not_sent_after_its_deadline(
    shop: Shop, steps: Steps, settings: Settings, sessions: Sessions
) -> None:
    """A process that is frozen between the saved deadline and the call wakes up after the undo: it buys nothing."""
    late = LateAttempts(settings.model_copy(update={"carrier_timeout": 0.2}), OrderBook(sessions))
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    held = late.gate("ship_order", "buy sent")
    attempt = late.begin("ship_order", order.order_id)
    await held.reached()
    with pytest.raises(TryAgain, match="may still arrive"):
        await steps.run("cancel_shipment", order.order_id)
    await asyncio.sleep(0.2)  # its time, by its own clock
    await time_passes(shop, order.order_id, CLOCK_MARGIN)
    assert await steps.run("cancel_shipment", order.order_id) == NOTHING
    held.open()
    with pytest.raises(TryAgain, match="it was not sent"):
        await attempt
    assert await steps.effects("carrier", order.order_id) == []
    await late.aclose()


@pytest.mark.parametrize(
    ("sent", "deadline", "ends"),
    [
        (None, None, None),
        (NOON, NOON + TEN, NOON + TEN),
        (NOON, None, NOON + 2 * TEN),
        (NOON, NOON - TEN, NOON + 2 * TEN),
    ],
    ids=["never sent", "until its deadline", "by an old worker", "by an old worker after a new one"],
)
def test_an_undo_knows_when_a_purchase_is_over(
    sent: datetime | None, deadline: datetime | None, ends: datetime | None
) -> None:
    """Workers of before saved no deadline, and might look for one timeout before they bought within another."""
    row = ShipmentRow(order_id="o", shipment_id="shp_1", state="buying", buy_sent_at=sent, buy_deadline=deadline)
    assert purchase_ends(row, TEN) == ends
