"""A worker dies inside an order's first workflow task: its steps have taken effect, and no history tells of them.

The next worker begins the order anew. What it meets first may be a cancel, before it has run anything itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.commands import CloseOrder
from domain.errors import OurMistake, TryAgain
from domain.order_states import OrderStatus
from tests.support.orders import Books, Shop, undos_run
from tests.support.steps import Steps
from worker import Activities

UNDONE = Books(status="CANCELED", payment_status="Voided", on_hand=10)


@pytest.fixture
async def steps(activities: Activities, shop: Shop) -> AsyncIterator[Steps]:
    yield Steps(activities, shop)
    await shop.no_faults()


@pytest.mark.parametrize("done", [["reserve_inventory"], ["reserve_inventory", "authorize_payment"]])
async def test_a_cancel_undoes_what_a_lost_task_has_done(
    shop: Shop, steps: Steps, worker: None, done: list[str]
) -> None:
    """The cancel comes first in the history: nothing was begun, and yet everything goes back."""
    order = await shop.put(await shop.product())
    for step in done:
        await steps.run(step, order.order_id)
    handle = await shop.start(order, by_signal="changed my mind")
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == ["return_payment", "release_inventory"]
    books = await shop.books(order.order_id)
    assert (books.status, books.reserved, books.held, books.kept) == ("CANCELED", 0, 0, 0)


async def test_a_cancel_finds_a_payment_whose_id_was_lost_with_the_task(
    shop: Shop, steps: Steps, worker: None
) -> None:
    """The worker died between creating the PaymentIntent and saving its id."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    await shop.fault("stripe", "payment_intents.create", "after_effect_drop")
    with pytest.raises(TryAgain):
        await steps.run("authorize_payment", order.order_id)
    handle = await shop.start(order, by_signal="changed my mind")
    assert await handle.result() is OrderStatus.CANCELED
    assert (await shop.payment_intent(order.order_id))["status"] == "canceled"
    assert (await shop.books(order.order_id)).reserved == 0


async def test_an_order_out_of_stock_asks_nobody_for_its_money(shop: Shop, worker: None) -> None:
    """Its reservation was refused, so that no task can have authorized anything: the short way stays short."""
    handle = await shop.start(await shop.put(await shop.product(on_hand=1)))
    assert await handle.result() is OrderStatus.REJECTED
    assert await undos_run(handle) == ["release_inventory"]


@pytest.mark.parametrize("end", [OrderStatus.CANCELED, OrderStatus.REJECTED])
async def test_no_order_ends_while_a_step_stands(shop: Shop, steps: Steps, end: OrderStatus) -> None:
    """The last row of an order is refused as our mistake as long as stock or money is with it: a person is called."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    close = CloseOrder(order_id=order.order_id, status=end, code="canceled")
    with pytest.raises(OurMistake, match="reserve_inventory, authorize_payment"):
        await steps.run_with("close_order", close)
    await steps.run("return_payment", order.order_id)
    await steps.run("release_inventory", order.order_id)
    await steps.run_with("close_order", close)
    assert await shop.books(order.order_id) == UNDONE
