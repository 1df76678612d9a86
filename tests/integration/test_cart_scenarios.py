"""Carts to the penny over HTTP: shown, ordered, captured, and given back piece by piece; also after crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, func, select

from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.order_states import OrderStatus
from services.inventory.tables import Stock
from services.orders.tables import Order
from services.refunds.tables import Refund
from tests.support.api_process import ApiProcess, api_process, tried
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

AnotherApi = Callable[[], AbstractAsyncContextManager[ApiProcess]]

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


@pytest.fixture
def another_api(stack: Stack, settings: Settings, tmp_path: Path) -> AnotherApi:
    """Starts processes of the API, which the test may kill."""
    queue = {
        "ORDERSAGA_TASK_QUEUE": settings.task_queue,
        "ORDERSAGA_CHECKOUT_BUDGET": "60",
        "ORDERSAGA_GRACE_PERIOD": "PT1H",
    }
    return partial(api_process, stack, tmp_path, **queue)


async def ordered(api: httpx.AsyncClient, shop: Shop, scenario: Scenario) -> Shopper:
    """The cart shows the total for its address, and the order has it."""
    shopper = await filled(api, shop, scenario)
    where = {name: one for name, one in (scenario.address or {}).items() if name in ("country", "state")}
    cart = (await api.get(f"/api/carts/{shopper.cart_id}", params=where)).json()
    assert (cart["total"], cart["subtotal"]) == (scenario.total, scenario.parts["subtotal"])
    placed = await shopper.checks_out(api)
    assert placed is not None
    assert (placed.status_code, placed.json()["totalAmount"]) == (201, scenario.total), placed.text
    shopper.order_id = placed.json()["orderId"]
    return shopper


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
        shopper = await ordered(api, shop, scenario)
    await shopper.sees_the_parts(api)

    await shipped(shop, shopper)
    assert await shop.money(shopper.order_id) == (0, minor(scenario.total))
    await returns_add_up(api, shop, shopper)


async def test_a_dropped_line_takes_its_discount_and_tax_along(
    api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """132.11 less 79.99 - 8.00 + 5.94 is 54.18; the lamps give 23.87 back, then 23.87 with 6.44 for shipping."""
    async with rates_of_the_scenarios(api, shop):
        shopper = await ordered(api, shop, TAX_ON_TOP)
    headphones, lamp = shopper.products
    order = f"/api/orders/{shopper.order_id}"
    assert (await api.post(f"{order}/lines/{headphones}/drop", json={"reason": "broken"})).status_code == 200
    await shipped(shop, shopper)
    assert await shop.money(shopper.order_id) == (0, 5418)

    wanted = {"items": [{"productId": lamp, "quantity": 1}], "reason": "came back"}
    backs = [await tried(api, f"{order}/refunds", wanted, f"back-{number}") for number in range(2)]
    assert [back.json()["amount"] for back in backs if back] == ["23.87", "30.31"]
    never_paid = {"items": [{"productId": headphones, "quantity": 1}], "reason": "came back"}
    refused = await tried(api, f"{order}/refunds", never_paid, "dropped")
    assert refused is not None and refused.json()["type"] == "/problems/line-dropped"
    assert await shop.money(shopper.order_id) == (0, 0)


async def test_returns_at_once_give_each_piece_back_once(api: httpx.AsyncClient, shop: Shop, worker: None) -> None:
    """Of five for three lamps two are refused, and the three come to 63.50, whichever was first."""
    shopper = await ordered(api, shop, FIXED)
    await shipped(shop, shopper)
    answers = await asyncio.gather(*(shopper.gives_back(api, number) for number in range(5)))
    given = [answer.json()["amount"] for answer in answers if answer and answer.status_code == 201]
    refused = [answer.json()["type"] for answer in answers if answer and answer.status_code == 409]
    assert (sorted(given), refused) == (["21.16", "21.17", "21.17"], ["/problems/units-given-back"] * 2)
    assert await shop.money(shopper.order_id) == (0, 0)


@pytest.mark.slow
async def test_carts_to_the_penny_where_the_api_is_killed(
    shop: Shop, settings: Settings, activities: Activities, api: httpx.AsyncClient, another_api: AnotherApi
) -> None:
    """All of them at once, and a coupon with one use that six want; killed in the checkouts, then in the returns.

    Whoever sends the same request again by its key gets what the first try would have brought; a cancel that was cut
    off is done, and frees the coupon.
    """
    worker = partial(build_worker, shop.client, settings, activities)
    async with rates_of_the_scenarios(api, shop):
        buyers, rivals = await everybody(api, shop)
        async with another_api() as first:
            await cut_off_checkouts(first, shop, [*buyers, *rivals])
        async with another_api() as second:
            async with worker():
                winner = await all_ordered(second.client, buyers, rivals)
                await shipped(shop, *buyers)
            await cut_off_returns(second, shop, buyers, winner)
        async with worker(), another_api() as third:
            await asyncio.gather(*(one.sees_the_parts(third.client) for one in buyers))
            await asyncio.gather(*(returns_add_up(third.client, shop, one) for one in buyers))
            await the_coupon_is_free_again(third.client, shop, winner, rivals)
    async with shop.sessions() as session:
        assert (await session.get_one(Stock, winner.products[0])).reserved == 1


async def everybody(api: httpx.AsyncClient, shop: Shop) -> tuple[list[Shopper], list[Shopper]]:
    """With full carts: one buyer for each scenario, and six rivals for one use of a coupon."""
    scenarios = (PERCENT, FIXED, TAX_INCLUDED, TAX_ON_TOP)
    code, lamp = await new_code(api, ONE_LAMP.off, usageLimit=1), await shop.product(on_hand=9, price="24.50")
    rival = partial(filled, api, shop, ONE_LAMP, code=code, products=[lamp], address=WELLINGTON)
    buyers = asyncio.gather(*(filled(api, shop, one, address=WELLINGTON) for one in scenarios))
    return await buyers, await asyncio.gather(*(rival() for _ in range(6)))


async def cut_off_checkouts(api: ApiProcess, shop: Shop, shoppers: list[Shopper]) -> None:
    """The process dies when the first order is stored; nobody has an answer."""

    async def is_begun() -> bool:
        mine = col(Order.customer_id).in_([one.customer for one in shoppers])
        async with shop.sessions() as session:
            return (await session.exec(select(func.count()).where(mine))).one() > 0

    checkouts = [asyncio.create_task(one.checks_out(api.client)) for one in shoppers]
    await until(is_begun, True)
    await api.kill()
    assert await asyncio.gather(*checkouts) == [None] * len(shoppers)


async def cut_off_returns(api: ApiProcess, shop: Shop, buyers: list[Shopper], winner: Shopper) -> None:
    """The process dies when the first return of each buyer is stored, and while the winner cancels."""

    async def begun() -> int:
        theirs = col(Refund.order_id).in_([one.order_id for one in buyers])
        async with shop.sessions() as session:
            return (await session.exec(select(func.count()).where(theirs))).one()

    returns = [asyncio.create_task(one.gives_back(api.client, 0)) for one in buyers]
    cancel = asyncio.create_task(tried(api.client, f"/api/orders/{winner.order_id}/cancel", {}))
    await until(begun, len(buyers))
    await api.kill()
    assert await asyncio.gather(*returns, cancel) == [None] * (len(buyers) + 1)


async def the_coupon_is_free_again(
    api: httpx.AsyncClient, shop: Shop, winner: Shopper, rivals: list[Shopper]
) -> None:
    """The cancel that was cut off is done when it is asked for again; then somebody else has the discount."""
    assert (await api.post(f"/api/orders/{winner.order_id}/cancel", json={})).status_code < 300
    await until(partial(shop.status, winner.order_id), OrderStatus.CANCELED)
    loser = next(one for one in rivals if not one.order_id)
    wanted = {"paymentMethod": "credit_card", "expectedTotal": "22.05", "shippingAddress": WELLINGTON}
    again = await api.post(f"/api/carts/{loser.cart_id}/checkout", json=wanted)
    assert (again.status_code, again.json()["totalAmount"]) == (201, "22.05"), again.text


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
