"""A payment and its undo on the way to Stripe at the same time: both orders of arrival, held by the simulator."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import StepUndone, TryAgain
from tests.support.held_gateways import LateAttempts
from tests.support.orders import Shop
from tests.support.steps import Steps
from tests.support.waiting import until

HELD = 0.6  # seconds for which Stripe sits on a request; the other one takes some 30 ms


async def _slow(shop: Shop, steps: Steps, operation: str) -> int:
    """Has Stripe sit on the next such call; how many slow calls it has seen when that one has arrived."""
    seen = await steps.faults_shown("stripe", "slow")
    await shop.fault("stripe", operation, "slow", delay_seconds=HELD)
    return seen + 1


@pytest.mark.parametrize("operation", ["payment_intents.confirm", "payment_intents.create"])
async def test_an_undo_that_overtakes_the_authorization_leaves_nothing_held(
    shop: Shop, steps: Steps, operation: str
) -> None:
    """The call is at Stripe and not done; the undo comes back with nothing held, whatever the call does then."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    arrived = await _slow(shop, steps, operation)
    attempt = asyncio.create_task(steps.run("authorize_payment", order.order_id))
    await until(lambda: steps.faults_shown("stripe", "slow"), arrived)
    await until(lambda: _returned(steps, order.order_id), True)
    with pytest.raises(StepUndone):
        await attempt
    assert (await shop.money(order.order_id)) == (0, 0)
    assert (await shop.order(order.order_id)).payment_status == "Voided"
    assert await _row_of_payment(steps, order.order_id) == "voided"


async def test_an_authorization_that_overtakes_the_undo_is_voided(
    shop: Shop, steps: Steps, late: LateAttempts
) -> None:
    """The void is at Stripe and not done when the confirmation takes effect: the void takes it back."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    confirm = late.gate("authorize_payment", "confirm sent")
    attempt = late.begin("authorize_payment", order.order_id)
    await confirm.reached()
    arrived = await _slow(shop, steps, "payment_intents.cancel")
    undo = asyncio.create_task(steps.run("return_payment", order.order_id))
    await until(lambda: steps.faults_shown("stripe", "slow"), arrived)
    confirm.open()
    with pytest.raises(StepUndone):
        await attempt
    await undo
    assert await shop.money(order.order_id) == (0, 0)
    assert await _row_of_payment(steps, order.order_id) == "voided"


async def test_a_capture_that_overtakes_the_void_is_refunded(shop: Shop, steps: Steps, late: LateAttempts) -> None:
    """Stripe said "held" when the undo looked and "taken" when the void arrived: it looks again, and refunds."""
    order = await shop.put(await shop.product())
    await steps.reach("ship_order", order.order_id)
    capture = late.gate("capture_payment", "capture sent")
    attempt = late.begin("capture_payment", order.order_id)
    await capture.reached()
    arrived = await _slow(shop, steps, "payment_intents.cancel")
    undo = asyncio.create_task(steps.insist("return_payment", order.order_id))
    await until(lambda: steps.faults_shown("stripe", "slow"), arrived)
    capture.open()
    with pytest.raises(StepUndone):
        await attempt
    await undo
    assert await shop.money(order.order_id) == (0, 0)
    assert await _row_of_payment(steps, order.order_id) in ("refunded", "voided")


@pytest.mark.parametrize("gate", ["create sent", "create answered", "confirm sent", "confirm answered"])
@pytest.mark.parametrize("attempt", [2, 4], ids=["same_key", "new_key"])
async def test_a_frozen_attempt_makes_no_second_payment(
    shop: Shop, steps: Steps, late: LateAttempts, gate: str, attempt: int
) -> None:
    """A worker freezes in mid-payment, its successor authorizes; thawed, the first one answers the same."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    held = late.gate("authorize_payment", gate)
    frozen = late.begin("authorize_payment", order.order_id)
    await held.reached()
    answer = await steps.run("authorize_payment", order.order_id, attempt=attempt)
    written = await steps.written(order.order_id)
    held.open()
    assert await frozen == answer
    assert await steps.written(order.order_id) == written
    assert await steps.effects("stripe", order.order_id) == ["authorize"]


async def test_a_refund_that_is_sent_again_under_a_new_key_gives_the_money_back_once(
    shop: Shop, steps: Steps
) -> None:
    """Stripe sits on the first one; later attempts look, see nothing, and take a new key: one refund in the end."""
    order = await shop.put(await shop.product())
    await steps.reach("capture_payment", order.order_id)
    arrived = await _slow(shop, steps, "refunds.create")
    first = asyncio.create_task(steps.run("return_payment", order.order_id))
    await until(lambda: steps.faults_shown("stripe", "slow"), arrived)
    await steps.run("return_payment", order.order_id, attempt=4)
    await asyncio.gather(first, return_exceptions=True)
    assert await steps.effects("stripe", order.order_id) == ["authorize", "capture", "refund"]
    assert await shop.money(order.order_id) == (0, 0)
    assert await _row_of_payment(steps, order.order_id) == "refunded"


async def _returned(steps: Steps, order_id: str) -> bool:
    """Whether an attempt of the undo succeeds: as long as the creation is in flight, its key is in use."""
    try:
        await steps.run("return_payment", order_id)
    except TryAgain:
        return False
    return True


async def _row_of_payment(steps: Steps, order_id: str) -> str:
    rows = (await steps.written(order_id))["Payment"]
    assert len(rows) == 1
    return str(rows[0]["state"])
