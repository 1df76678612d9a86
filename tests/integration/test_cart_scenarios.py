"""Carts to the penny over HTTP: shown, ordered, captured, and given back piece by piece; also after crashes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, func, select
from temporalio.client import Client

from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.order_states import OrderStatus
from services.inventory.tables import Stock
from services.orders.tables import Order
from services.refunds.tables import Refund
from tests.support.api_process import api_process, tried
from tests.support.orders import Shop
from tests.support.scenarios import (
    FIXED,
    PERCENT,
    TAX_INCLUDED,
    TAX_ON_TOP,
    WELLINGTON,
    Scenario,
    Shopper,
    filled,
    new_code,
    rates_of_the_scenarios,
)
from tests.support.waiting import until
from worker import Activities, build_worker
from workflows.order_fulfillment import OrderFulfillment

ONE_LAMP = Scenario(
    off={"kind": "percent", "value": "10"},
    lines=(("24.50", 1),),
    parts={"subtotal": "24.50", "shippingFee": "0.00", "taxes": [], "totalAmount": "22.05"},
    by_line=(("2.45", "0.00"),),
    back=(),
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A shop with a grace period, so that an order stays CONFIRMED until somebody says so."""
    return settings.model_copy(update={"grace_period": timedelta(hours=1)})


async def shipped(shop: Shop, *shoppers: Shopper) -> None:
    """Their orders' money is captured."""
    for one in shoppers:
        await shop.client.get_workflow_handle(f"order-{one.order_id}").signal(OrderFulfillment.ship_now)
    for one in shoppers:
        await until(partial(shop.status, one.order_id), OrderStatus.READY_TO_SHIP)


def minor(amount: str) -> int:
    return int(amount.replace(".", ""))


async def returns_add_up(api: httpx.AsyncClient, shop: Shop, shopper: Shopper, begin: int = 0) -> None:
    """Each piece gives back its own share, whoever gives back `begin` of them before; then none is left."""
    scenario = shopper.scenario
    for number, (_, amount) in list(enumerate(scenario.back))[begin:]:
        given = await shopper.gives_back(api, number)
        assert given is not None
        assert (given.status_code, given.json()["amount"]) == (201, amount), given.text
    kept = minor(scenario.total) - sum(minor(amount) for _, amount in scenario.back)
    assert await shop.money(shopper.order_id) == (0, kept)
    if scenario is not TAX_ON_TOP:  # of which a lamp is left
        refused = await shopper.gives_back(api, len(scenario.back))
        assert refused is not None
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/units-given-back")


@pytest.mark.parametrize(
    ("scenario", "has_rates"),
    [
        pytest.param(PERCENT, False, id="a tenth off three products"),
        pytest.param(FIXED, False, id="10.00 off three pieces"),
        pytest.param(TAX_INCLUDED, True, id="prices that contain tax"),
        pytest.param(TAX_ON_TOP, True, id="tax and a fee on top"),
    ],
)
async def test_a_cart_to_the_penny(
    api: httpx.AsyncClient, shop: Shop, worker: None, scenario: Scenario, has_rates: bool
) -> None:
    """The cart shows the total that the order has, the capture takes it, and single returns give it back."""
    async with AsyncExitStack() as stack:
        if has_rates:
            await stack.enter_async_context(rates_of_the_scenarios(api, shop))
        shopper = await filled(api, shop, scenario)
        where = {name: one for name, one in (scenario.address or {}).items() if name in ("country", "state")}
        cart = (await api.get(f"/api/carts/{shopper.cart_id}", params=where)).json()
        placed = await shopper.checks_out(api)
    assert (cart["total"], cart["subtotal"]) == (scenario.total, scenario.parts["subtotal"])
    assert placed is not None
    assert (placed.status_code, placed.json()["totalAmount"]) == (201, scenario.total), placed.text
    shopper.order_id = placed.json()["orderId"]
    await shopper.sees_the_parts(api)

    await shipped(shop, shopper)
    assert await shop.money(shopper.order_id) == (0, minor(scenario.total))
    await returns_add_up(api, shop, shopper)


async def test_carts_to_the_penny_where_the_api_is_killed(
    stack: Stack,
    shop: Shop,
    settings: Settings,
    temporal_client: Client,
    activities: Activities,
    api: httpx.AsyncClient,
    tmp_path: Path,
) -> None:
    """All of them at once, and a coupon with one use that six want; killed in the checkouts, then in the returns.

    Whoever sends the same request again by its key gets what the first try would have brought; a cancel that was cut
    off is done, and frees the coupon.
    """
    queue = {
        "ORDERSAGA_TASK_QUEUE": settings.task_queue,
        "ORDERSAGA_CHECKOUT_BUDGET": "60",
        "ORDERSAGA_GRACE_PERIOD": "PT1H",
    }
    async with rates_of_the_scenarios(api, shop):
        buyers = [
            await filled(api, shop, one, address=WELLINGTON) for one in (PERCENT, FIXED, TAX_INCLUDED, TAX_ON_TOP)
        ]
        code, lamp = await new_code(api, ONE_LAMP.off, usageLimit=1), await shop.product(on_hand=9, price="24.50")
        rivals = [await filled(api, shop, ONE_LAMP, code=code, products=[lamp], address=WELLINGTON) for _ in range(6)]
        everybody = [*buyers, *rivals]

        async def is_begun() -> bool:
            names = [one.customer for one in everybody]
            async with shop.sessions() as session:
                return (await session.exec(select(func.count()).where(col(Order.customer_id).in_(names)))).one() > 0

        async with api_process(stack, tmp_path, **queue) as first:
            checkouts = [asyncio.create_task(one.checks_out(first.client)) for one in everybody]
            await until(is_begun, True)
            await first.kill()
            assert await asyncio.gather(*checkouts) == [None] * len(everybody)
        async with api_process(stack, tmp_path, **queue) as second:
            async with build_worker(temporal_client, settings, activities):
                winner = await all_ordered(second.client, buyers, rivals)
                await shipped(shop, *buyers)
            returns = [asyncio.create_task(one.gives_back(second.client, 0)) for one in buyers]
            cancel = asyncio.create_task(tried(second.client, f"/api/orders/{winner.order_id}/cancel", {}))
            await until(lambda: refunds_of(shop, buyers), len(buyers))
            await second.kill()
            assert await asyncio.gather(*returns, cancel) == [None] * (len(buyers) + 1)
        async with (
            build_worker(temporal_client, settings, activities),
            api_process(stack, tmp_path, **queue) as third,
        ):
            for one in buyers:
                await one.sees_the_parts(third.client)
                await returns_add_up(third.client, shop, one)
            assert (await third.client.post(f"/api/orders/{winner.order_id}/cancel", json={})).status_code < 300
            await until(lambda: shop.status(winner.order_id), OrderStatus.CANCELED)
            loser = next(one for one in rivals if not one.order_id)
            again = await third.client.post(
                f"/api/carts/{loser.cart_id}/checkout",
                json={"paymentMethod": "credit_card", "expectedTotal": "22.05", "shippingAddress": WELLINGTON},
            )
            assert (again.status_code, again.json()["totalAmount"]) == (201, "22.05"), again.text
    async with shop.sessions() as session:
        assert (await session.get_one(Stock, lamp)).reserved == 1


async def all_ordered(api: httpx.AsyncClient, buyers: list[Shopper], rivals: list[Shopper]) -> Shopper:
    """Everybody asks again by their key: each buyer has the order, and one of the rivals, who is returned."""
    answers = await asyncio.gather(*(one.checks_out(api) for one in [*buyers, *rivals]))
    for one, answer in zip([*buyers, *rivals], answers, strict=True):
        assert answer is not None
        if answer.status_code == 201:
            one.order_id = answer.json()["orderId"]
            assert answer.json()["totalAmount"] == one.scenario.total
        else:
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/coupon-exhausted"), answer.text
    assert all(one.order_id for one in buyers)
    [winner] = [one for one in rivals if one.order_id]
    return winner


async def refunds_of(shop: Shop, shoppers: list[Shopper]) -> int:
    ids = [one.order_id for one in shoppers]
    async with shop.sessions() as session:
        return (await session.exec(select(func.count()).where(col(Refund.order_id).in_(ids)))).one()
