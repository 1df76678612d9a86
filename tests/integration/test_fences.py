"""A step is done once, and never after its undo, however often and however late its attempts arrive."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain.commands import ConfirmVoid, VoidedShipment, VoidOutcome
from domain.errors import CaptureRefused, OrderSagaError, PaymentDeclined, StepUndone, TryAgain
from tests.support.held_gateways import LateAttempts
from tests.support.orders import Books, Shop
from tests.support.steps import WAY, Steps
from tests.support.waiting import until

UNDO_OF = {
    "reserve_inventory": "release_inventory",
    "authorize_payment": "return_payment",
    "ship_order": "cancel_shipment",
    "capture_payment": "return_payment",
}


@pytest.mark.parametrize("step", WAY)
async def test_a_repeated_step_writes_nothing(shop: Shop, steps: Steps, step: str) -> None:
    """A local activity's batch is repeated after a crash: the repeat answers the same and leaves no trace."""
    order = await shop.put(await shop.product())
    await steps.reach(step, order.order_id)
    written = await steps.written(order.order_id)
    assert len(written["TimelineEntry"]) == WAY.index(step) + 2
    answers = [await steps.run(step, order.order_id) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert await steps.written(order.order_id) == written


async def test_the_whole_way_repeated_at_its_end_writes_nothing(shop: Shop, steps: Steps) -> None:
    """Every step of a delivered order may be asked for again: one authorization, one capture, one label."""
    order = await shop.put(await shop.product())
    await steps.reach("record_delivered", order.order_id)
    written = await steps.written(order.order_id)
    await steps.reach("record_delivered", order.order_id)
    assert await steps.written(order.order_id) == written
    assert await steps.effects("stripe", order.order_id) == ["authorize", "capture"]
    assert await steps.effects("carrier", order.order_id) == ["label_bought"]


@pytest.mark.parametrize("step", WAY)
async def test_attempts_of_a_step_at_the_same_time_have_one_effect(shop: Shop, steps: Steps, step: str) -> None:
    """Five workers believe that the step is theirs: the books and the far ends see it once."""
    order = await shop.put(await shop.product())
    for before in WAY[: WAY.index(step)]:
        await steps.run(before, order.order_id)
    attempts = [steps.insist(step, order.order_id, most=40) for _ in range(5)]
    await asyncio.gather(*attempts)
    timeline = [row.what.partition(":")[0] for row in await shop.timeline(order.order_id)]
    assert len(timeline) == len(set(timeline)) == WAY.index(step) + 2
    assert (await steps.effects("stripe", order.order_id)).count("authorize") == (WAY.index(step) >= 1)
    assert (await steps.effects("stripe", order.order_id)).count("capture") == (WAY.index(step) >= 3)
    assert (await steps.effects("carrier", order.order_id)).count("label_bought") == (WAY.index(step) >= 2)


async def test_a_repeated_decline_is_the_same_answer(shop: Shop, steps: Steps) -> None:
    """A refusal is kept like a success: no second try on the card."""
    order = await shop.put(await shop.product(), payment_method="pm_card_chargeDeclinedInsufficientFunds")
    await steps.run("reserve_inventory", order.order_id)
    with pytest.raises(PaymentDeclined) as first:
        await steps.run("authorize_payment", order.order_id)
    written = await steps.written(order.order_id)
    with pytest.raises(PaymentDeclined) as again:
        await steps.run("authorize_payment", order.order_id)
    assert (again.value.code, again.value.detail) == (first.value.code, first.value.detail)
    assert again.value.code == "insufficient_funds"
    assert await steps.written(order.order_id) == written


@pytest.mark.parametrize("undo", ["release_inventory", "return_payment", "cancel_shipment"])
async def test_the_undo_of_a_step_that_never_ran_does_nothing(shop: Shop, steps: Steps, undo: str) -> None:
    """It succeeds, as often as it is asked for, and tells nobody: no timeline row, no event, no far end."""
    order = await shop.put(await shop.product())
    untouched = await steps.written(order.order_id)
    await steps.run(undo, order.order_id)
    written = await steps.written(order.order_id)
    fences = written.pop("OrderStep")
    assert {fence["state"] for fence in fences} <= {"undone", "done"}
    assert untouched.pop("OrderStep") == []
    assert written == untouched
    await steps.run(undo, order.order_id)
    assert await steps.written(order.order_id) == written | {"OrderStep": fences}


@pytest.mark.parametrize("step", list(UNDO_OF))
async def test_a_repeated_undo_writes_nothing(shop: Shop, steps: Steps, step: str) -> None:
    """Undone once, with one row and one event; the second time there is nothing left to say."""
    order = await shop.put(await shop.product())
    await steps.reach(step, order.order_id)
    before = await steps.written(order.order_id)
    first = await steps.run(UNDO_OF[step], order.order_id)
    written = await steps.written(order.order_id)
    assert len(written["TimelineEntry"]) == len(before["TimelineEntry"]) + 1
    assert await steps.run(UNDO_OF[step], order.order_id) == first
    assert await steps.written(order.order_id) == written


@pytest.mark.parametrize("step", list(UNDO_OF))
async def test_attempts_of_an_undo_at_the_same_time_have_one_effect(shop: Shop, steps: Steps, step: str) -> None:
    """Five workers give back what step k took: it goes back once, and is told once."""
    order = await shop.put(await shop.product())
    await steps.reach(step, order.order_id)
    before = await steps.written(order.order_id)
    await asyncio.gather(*(steps.insist(UNDO_OF[step], order.order_id, most=40) for _ in range(5)))
    written = await steps.written(order.order_id)
    assert len(written["TimelineEntry"]) == len(before["TimelineEntry"]) + 1
    for far_end in ("stripe", "carrier"):
        effects = await steps.effects(far_end, order.order_id)
        assert len(effects) == len(set(effects))


async def test_a_void_that_the_carrier_has_not_confirmed_is_told_once(shop: Shop, steps: Steps) -> None:
    """Requested, asked for again, confirmed, and confirmed again: one timeline row each for request and end."""
    order = await shop.put(await shop.product())
    await steps.reach("ship_order", order.order_id)
    confirm = ConfirmVoid(order_id=order.order_id)
    await shop.carrier(refund_delay=3)  # longer than the steps take on a busy machine
    try:
        for _ in range(2):
            void = await steps.run("cancel_shipment", order.order_id)
            assert void == VoidedShipment(outcome=VoidOutcome.REQUESTED)
        with pytest.raises(TryAgain):
            await steps.run_with("confirm_void", confirm)
        await until(lambda: shop.live_labels(order.order_id), 0)
        for _ in range(2):
            await steps.run_with("confirm_void", confirm)
    finally:
        await shop.carrier(refund_delay=0)
    told = [row.what for row in await shop.timeline(order.order_id)][4:]
    assert told == ["label: void requested from the carrier", "label voided"]


@pytest.mark.parametrize("step", list(UNDO_OF))
@pytest.mark.parametrize("had_run", [False, True], ids=["that_never_ran", "that_had_run"])
async def test_an_attempt_after_the_undo_is_stopped_by_the_fence(
    shop: Shop, steps: Steps, step: str, had_run: bool
) -> None:
    """Step k was undone; an attempt of it that was on its way all the time stops and writes nothing."""
    order = await shop.put(await shop.product())
    for name in WAY[: WAY.index(step) + had_run]:
        await steps.run(name, order.order_id)
    await steps.run(UNDO_OF[step], order.order_id)
    written = await steps.written(order.order_id)
    with pytest.raises(StepUndone):
        await steps.run(step, order.order_id)
    assert await steps.written(order.order_id) == written


@pytest.mark.parametrize(
    ("gate", "end", "effects"),
    [
        ("create sent", StepUndone, []),
        ("create answered", StepUndone, []),
        ("confirm sent", StepUndone, []),
        ("confirm answered", StepUndone, ["authorize", "void"]),
    ],
)
async def test_a_late_authorization_is_stopped_wherever_it_was_held(
    shop: Shop, steps: Steps, late: LateAttempts, gate: str, end: type[OrderSagaError], effects: list[str]
) -> None:
    """Held before the creation, before its id is saved, before and after the confirmation: nothing stays held."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    held = late.gate("authorize_payment", gate)
    attempt = late.begin("authorize_payment", order.order_id)
    await held.reached()
    await steps.run("return_payment", order.order_id)
    written = await steps.written(order.order_id)
    held.open()
    with pytest.raises(end):
        await attempt
    assert await steps.written(order.order_id) == written
    assert await steps.effects("stripe", order.order_id) == effects


async def test_a_payment_that_the_undo_could_not_see_is_not_saved_after_it(
    shop: Shop, steps: Steps, late: LateAttempts
) -> None:
    """The creation had not reached Stripe when the undo looked: made after all, it is neither saved nor confirmed."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    held = late.gate("authorize_payment", "create sent")
    attempt = late.begin("authorize_payment", order.order_id)
    await held.reached()
    await steps.run("return_payment", order.order_id, attempt=4)
    written = await steps.written(order.order_id)
    held.open()
    with pytest.raises(StepUndone):
        await attempt
    assert await steps.written(order.order_id) == written
    assert written["Payment"] == []


@pytest.mark.parametrize(
    ("gate", "end", "effects"),
    [
        ("capture sent", CaptureRefused, ["authorize", "void"]),
        ("capture answered", StepUndone, ["authorize", "capture", "refund"]),
    ],
)
async def test_a_late_capture_keeps_no_money(
    shop: Shop, steps: Steps, late: LateAttempts, gate: str, end: type[OrderSagaError], effects: list[str]
) -> None:
    """Returned by what Stripe says now: voided when the capture is late at Stripe, refunded when only here."""
    order = await shop.put(await shop.product())
    await steps.reach("ship_order", order.order_id)
    held = late.gate("capture_payment", gate)
    attempt = late.begin("capture_payment", order.order_id)
    await held.reached()
    await steps.run("return_payment", order.order_id)
    written = await steps.written(order.order_id)
    held.open()
    with pytest.raises(end):
        await attempt
    assert await steps.written(order.order_id) == written
    assert await steps.effects("stripe", order.order_id) == effects


async def test_a_late_shipment_is_stopped_before_it_buys(shop: Shop, steps: Steps, late: LateAttempts) -> None:
    """The free shipment was made, its answer came after the undo: no label is bought."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    held = late.gate("ship_order", "create answered")
    attempt = late.begin("ship_order", order.order_id)
    await held.reached()
    assert await steps.run("cancel_shipment", order.order_id) == VoidedShipment(outcome=VoidOutcome.NOTHING)
    held.open()
    with pytest.raises(StepUndone):
        await attempt
    assert await steps.effects("carrier", order.order_id) == []


async def test_a_purchase_that_was_sent_is_waited_for_and_then_voided(
    shop: Shop, steps: Steps, late: LateAttempts
) -> None:
    """The far end knows no fence: the undo does not say "nothing" while a purchase may still arrive."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    held = late.gate("ship_order", "buy sent")
    attempt = late.begin("ship_order", order.order_id)
    await held.reached()
    with pytest.raises(TryAgain) as waits:
        await steps.run("cancel_shipment", order.order_id)
    assert waits.value.delay is not None
    assert timedelta(0) < waits.value.delay <= timedelta(seconds=shop.settings.carrier_timeout + 2)
    held.open()
    with pytest.raises(StepUndone):
        await attempt
    assert await steps.run("cancel_shipment", order.order_id) == VoidedShipment(outcome=VoidOutcome.VOIDED)
    assert await shop.live_labels(order.order_id) == 0


@pytest.mark.parametrize("gate", ["create answered", "buy sent", "buy answered"])
async def test_a_frozen_attempt_buys_no_second_label(shop: Shop, steps: Steps, late: LateAttempts, gate: str) -> None:
    """A worker freezes in mid-purchase, its successor buys the label; thawed, the first one buys nothing more."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    held = late.gate("ship_order", gate)
    attempt = late.begin("ship_order", order.order_id)
    await held.reached()
    label = await steps.run("ship_order", order.order_id)
    written = await steps.written(order.order_id)
    held.open()
    assert await attempt == label
    assert await steps.effects("carrier", order.order_id) == ["label_bought"]
    assert await steps.written(order.order_id) == written


async def test_an_order_over_nothing_needs_no_payment(shop: Shop, steps: Steps) -> None:
    """A total of 0 goes the whole way and back without a word to Stripe."""
    order = await shop.put(await shop.product(price="0"))
    await steps.reach("capture_payment", order.order_id)
    assert await shop.books(order.order_id) == Books(
        status="READY_TO_SHIP", payment_status="Captured", on_hand=10, reserved=2, labels=1
    )
    await steps.run("return_payment", order.order_id)
    assert await steps.effects("stripe", order.order_id) == []
