"""At which rate a label is bought, and what becomes of an order for which there is none just now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from adapters.carrier.gateway import NoRateFits
from adapters.settings import Settings
from adapters.temporal.encryption import message_of
from devstack.carrier.shipments import CarrierSettings
from domain.errors import OurFault
from domain.order_states import OrderStatus
from domain.parcels import ShippingOrigin
from services.orders.book import OrderBook
from tests.support.held_gateways import LateAttempts
from tests.support.orders import Books, Shop
from tests.support.steps import Steps, run_attempt
from tests.support.waiting import until

GROUND, EXPRESS = ["Ground", "7.90", 4, "USD"], ["Express", "18.40", 1, "USD"]
FOREIGN, SLOW, PREMIUM = ["Post", "5.00", 2, "CAD"], ["Freight", "4.10", None, "USD"], ["Premium", "100.00", 1, "USD"]
ORIGIN = ShippingOrigin(street1="2 Store St", city="Reno", state="NV", zip="89501", country="US")


@pytest.fixture(autouse=True)
async def usual_rates(shop: Shop) -> AsyncIterator[None]:
    yield
    await shop.carrier(rates=CarrierSettings().rates)


async def confirmed(shop: Shop, steps: Steps) -> str:
    order_id = (await shop.put(await shop.product())).order_id
    await steps.reach("authorize_payment", order_id)
    return order_id


async def at_carrier(shop: Shop, order_id: str) -> dict[str, Any]:
    key = shop.settings.carrier_api_key.get_secret_value()
    url = f"{shop.stack.urls.carrier}/v2/shipments/{await shop.shipment_id(order_id)}"
    shipment: dict[str, Any] = (await shop.http.get(url, auth=(key, ""))).raise_for_status().json()
    return shipment


@pytest.mark.parametrize(
    ("rates", "changed", "paid"),
    [
        ([EXPRESS, GROUND], {}, "7.90"),
        ([PREMIUM, EXPRESS], {}, "18.40"),
        ([FOREIGN, GROUND], {}, "7.90"),
        ([FOREIGN, GROUND], {"carrier_currency": "CAD"}, "5.00"),
        ([SLOW, GROUND, EXPRESS], {}, "4.10"),
        ([SLOW, GROUND, EXPRESS], {"delivery_days": 4}, "7.90"),
        ([SLOW, GROUND, EXPRESS], {"delivery_days": 3}, "18.40"),
    ],
)
async def test_the_label_is_bought_at_the_cheapest_rate_that_fits(
    shop: Shop, steps: Steps, settings: Settings, rates: list[list[Any]], changed: dict[str, Any], paid: str
) -> None:
    """Not at the first one; from the shop's own address, without which the carrier gives no rates at all."""
    await shop.carrier(rates=rates)
    order_id = await confirmed(shop, steps)
    chosen = settings.model_copy(update={"shipping_origin": ORIGIN, "parcel_weight": 21.5, **changed})
    worker = LateAttempts(chosen, OrderBook(shop.sessions))
    await worker.run("ship_order", order_id)
    shipment = await at_carrier(shop, order_id)
    assert shipment["selected_rate"]["rate"] == paid
    assert (shipment["from_address"]["zip"], shipment["parcel"]) == ("89501", {"weight": 21.5})
    await worker.aclose()


async def test_no_rates_are_no_reason_to_cancel(shop: Shop, steps: Steps, late: LateAttempts) -> None:
    """Tried again, more slowly; after a minute one ticket tells. Nothing is bought, and an undo finds nothing."""
    await shop.carrier(rates=[FOREIGN])
    order_id = await confirmed(shop, steps)
    for attempt, delay in ((1, 2), (5, 32)):
        with pytest.raises(NoRateFits, match="1 rates, none that fits") as none:
            await run_attempt(late.methods["ship_order"], order_id, attempt=attempt)
        assert none.value.delay == timedelta(seconds=delay)
    with pytest.raises(OurFault, match="1 rates, none that fits") as lasting:
        await run_attempt(late.methods["ship_order"], order_id, attempt=6)
    assert lasting.value.cause == "no rate that fits"
    await shop.carrier(rates=[])
    with pytest.raises(NoRateFits, match="SimPost: rate_error"):
        await steps.run("ship_order", order_id)
    assert (await steps.written(order_id))["ShipmentRow"] == []
    await shop.carrier(rates=[GROUND])
    await steps.run("ship_order", order_id)
    assert await steps.effects("carrier", order_id) == ["label_bought"]


async def test_a_confirmed_order_waits_until_there_are_rates(shop: Shop, worker: None) -> None:
    """It was canceled before, for a moment without rates."""
    await shop.carrier(rates=[])
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: waits_for_rates(handle), True)
    assert await shop.status(order.order_id) is OrderStatus.CONFIRMED
    await shop.carrier(rates=[GROUND])
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert await shop.books(order.order_id) == Books(
        status="READY_TO_SHIP", payment_status="Captured", on_hand=10, reserved=2, kept=2000, labels=1
    )


async def waits_for_rates(handle: Any) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    converter = handle._client.data_converter
    return any(["offers 0 rates" in await message_of(one.last_failure, converter) for one in pending])
