"""A cancel arrives at each step k, and during each undo: the books end where they began."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateStage
from temporalio.exceptions import CancelledError

from domain.commands import CancelRequest, ParcelStatus
from domain.errors import ShipmentRefused, TryAgain
from domain.order_states import OrderStatus
from tests.support.any_shop import AnyShop
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, undos_run
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

FULL_UNDO = ["cancel_shipment", "return_payment", "release_inventory"]
AT_STEP = {
    "reserve_inventory": FULL_UNDO[1:],  # a task that was lost may have gone further
    "authorize_payment": FULL_UNDO[1:],
    "ship_order": FULL_UNDO,
    "capture_payment": FULL_UNDO,
}
LOCAL = ("reserve_inventory", "authorize_payment")


def assert_nothing_left(books: Books) -> None:
    assert (books.on_hand, books.reserved, books.held, books.kept, books.labels) == (10, 0, 0, 0, 0)


@pytest.mark.parametrize("step", AT_STEP)
async def test_cancel_while_a_step_runs_lets_it_finish_and_undoes_it(
    shop: AnyShop, faults: StepFaults, step: str
) -> None:
    """Cancel at k, as an ordinary activity: the started attempt finishes, then all up to it is undone."""
    if step in LOCAL:
        faults.fail(step, TryAgain("so that the step runs as an ordinary activity"))
    order = await shop.put(await shop.product())
    faults.hold(step)
    handle = await shop.start(order)
    await faults.arrived(step)
    await handle.signal(OrderFulfillment.cancel_order, "changed my mind")
    faults.release(step)
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == AT_STEP[step]
    assert faults.finished.count(step) == 1
    assert_nothing_left(await shop.books(order.order_id))


@pytest.mark.parametrize("step", LOCAL)
async def test_cancel_while_a_local_attempt_runs_is_heard_with_the_next_workflow_task(
    shop: AnyShop, faults: StepFaults, step: str
) -> None:
    """Local steps share one workflow task: the cancel is heard behind them, when the label is being bought."""
    faults.hold(step)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived(step)
    await handle.signal(OrderFulfillment.cancel_order, "changed my mind")
    faults.release(step)
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == FULL_UNDO
    assert_nothing_left(await shop.books(order.order_id))


@pytest.mark.parametrize("step", AT_STEP)
async def test_cancel_ends_a_waiting_retry_at_once(shop: AnyShop, faults: StepFaults, step: str) -> None:
    """The far end is away and the next attempt minutes off: the cancel does not wait for it."""
    faults.fail(step, TryAgain("away", delay=timedelta(minutes=10)), times=50)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: _waits_for_a_retry(handle, step), True)
    answer = await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too slow"))
    assert answer.accepted
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == AT_STEP[step]
    assert_nothing_left(await shop.books(order.order_id))


@pytest.mark.parametrize("undo", FULL_UNDO)
async def test_a_second_cancel_of_each_kind_does_not_disturb_the_undo(
    shop: AnyShop, faults: StepFaults, undo: str
) -> None:
    """Cancel during undo: signal, update and native cancellation join; every undo still runs once, in order."""
    faults.hold(undo)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    await faults.arrived(undo)
    await handle.signal(OrderFulfillment.cancel_order, {"reason": "again", "by": "ops"})
    await handle.cancel()
    if undo != "cancel_shipment":  # before the label is void nobody can be told that the cancel is granted
        answer = await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="and again"))
        assert (answer.accepted, answer.code) == (True, "already_canceling")
    faults.release(undo)
    with pytest.raises(WorkflowFailureError) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert await undos_run(handle) == FULL_UNDO
    assert_nothing_left(await shop.books(order.order_id))
    assert await shop.status(order.order_id) is OrderStatus.CANCELED


async def test_native_cancel_during_the_undo_of_a_failure_does_not_stop_it(shop: AnyShop, faults: StepFaults) -> None:
    """An order that is being rejected ends REJECTED with its stock back, whoever cancels meanwhile."""
    faults.hold("release_inventory")
    order = await shop.put(await shop.product(), payment_method="pm_card_chargeDeclined")
    handle = await shop.start(order)
    await faults.arrived("release_inventory")
    await handle.cancel()
    faults.release("release_inventory")
    assert await handle.result() is OrderStatus.REJECTED
    assert_nothing_left(await shop.books(order.order_id))
    assert "cancel refused: already_rejected" in [row.what for row in await shop.timeline(order.order_id)]


async def test_cancel_joins_the_undo_of_a_failure_behind_the_confirmation(shop: AnyShop, faults: StepFaults) -> None:
    """The carrier has refused the address; who cancels meanwhile hears that it is on its way."""
    faults.fail("ship_order", ShipmentRefused("address_refused", "no such street"))
    faults.hold("cancel_shipment")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("cancel_shipment")
    asking = await handle.start_update(
        OrderFulfillment.cancel, CancelRequest(), wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    faults.release("cancel_shipment")
    answer = await asking.result()
    assert (answer.accepted, answer.code) == (True, "already_canceling")
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == FULL_UNDO
    assert_nothing_left(await shop.books(order.order_id))


async def test_cancel_before_the_first_step_finds_nothing_to_undo(shop: AnyShop, worker: None) -> None:
    """A cancel that arrives with the start: the undos look, since a task that was lost may have done something."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, by_signal="typed the wrong size")
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == FULL_UNDO[1:]
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Pending", on_hand=10)


async def test_cancel_in_the_wait_before_shipping_voids_the_authorization(shop: AnyShop, worker: None) -> None:
    """An order that may not ship before tomorrow is canceled while it waits."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == ["return_payment", "release_inventory"]
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)


async def test_ship_now_ends_the_wait_before_shipping(shop: AnyShop, worker: None) -> None:
    """Operations may not want to wait."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await handle.signal(OrderFulfillment.ship_now)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)


async def test_cancel_of_an_order_that_is_ready_to_ship_refunds_it(shop: AnyShop, worker: None) -> None:
    """The label is voided first, then the captured money goes back."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    answer = await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="found it cheaper"))
    assert (answer.accepted, answer.code) == (True, "label_voided")
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == FULL_UNDO
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)


async def test_cancel_after_the_first_scan_is_refused_and_the_order_goes_on(shop: AnyShop, worker: None) -> None:
    """The carrier decides: it has scanned the parcel, our workflow does not know it yet, and nothing is undone."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "in_transit")
    answer = await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too late"))
    assert (answer.accepted, answer.code) == (False, "already_shipped")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    assert await shop.books(order.order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )


async def test_cancel_is_refused_when_the_parcel_was_scanned_before_the_capture(
    shop: AnyShop, faults: StepFaults
) -> None:
    """An early scan: the capture is still retried when the cancel comes; it is refused, and the capture goes on."""
    faults.let_wait("capture_payment", short=True)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: _waits_for_a_retry(handle, "capture_payment"), True)
    await shop.parcel(order.order_id, "in_transit")
    answer = await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too late"))
    assert (answer.accepted, answer.code) == (False, "already_shipped")
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await shop.books(order.order_id)).kept == 2000


async def _waits_for_a_retry(handle: Handle, step: str) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(activity.activity_type.name == step and activity.attempt > 1 for activity in pending)
