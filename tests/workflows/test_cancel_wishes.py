"""One wish in several forms: the workflow decides on it once, and answers each form."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import WorkflowUpdateStage

from domain.commands import CancelRequest, ParcelStatus
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Shop, steps_run
from tests.support.waiting import until
from tests.support.wishes import wishes_recorded
from workflows.order_fulfillment import OrderFulfillment

WISH = CancelRequest(reason="too late", by="customer", wish_id="a-wish")


async def test_a_wish_that_arrives_as_update_and_as_signal_is_granted_once(shop: Shop, faults: StepFaults) -> None:
    """The signal of an API that gave its update up, which was accepted all the same."""
    faults.hold("record_cancel_request")
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    asked = await handle.start_update(
        OrderFulfillment.cancel, WISH, wait_for_stage=WorkflowUpdateStage.ACCEPTED, id="one"
    )
    await faults.arrived("record_cancel_request")
    again = await handle.start_update(
        OrderFulfillment.cancel, WISH, wait_for_stage=WorkflowUpdateStage.ACCEPTED, id="two"
    )
    await handle.signal(OrderFulfillment.cancel_order, WISH.model_dump())
    faults.release("record_cancel_request")
    assert await asked.result() == await again.result()
    assert await handle.result() is OrderStatus.CANCELED
    assert (await steps_run(handle)).count("record_cancel_request") == 1
    assert await wishes_recorded(shop, order.order_id) == {"a-wish": "cancel_accepted"}
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)


async def test_a_refused_wish_that_comes_again_later_is_not_decided_again(shop: Shop, worker: None) -> None:
    """The signal arrives when its update has been answered: the carrier is not asked a second time."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "in_transit")
    answer = await handle.execute_update(OrderFulfillment.cancel, WISH)
    await handle.signal(OrderFulfillment.cancel_order, WISH.model_dump())
    again = await handle.execute_update(OrderFulfillment.cancel, WISH)
    assert answer == again
    assert (answer.accepted, answer.code) == (False, "already_shipped")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    steps = await steps_run(handle)
    assert (steps.count("cancel_shipment"), steps.count("record_cancel_refusal")) == (1, 1)
    assert await wishes_recorded(shop, order.order_id) == {"a-wish": "already_shipped"}


async def test_typed_signals_and_a_native_cancellation_are_wishes_of_their_own(
    shop: Shop, faults: StepFaults
) -> None:
    """Nobody can tell two typed signals from one that was typed twice; Temporal delivers its own only once."""
    faults.hold("record_cancel_request")
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    for _ in range(2):
        await handle.signal(OrderFulfillment.cancel_order, "typed")
    await handle.cancel()
    await handle.cancel()
    await faults.arrived("record_cancel_request")
    faults.release("record_cancel_request")
    await until(lambda: shop.status(order.order_id), OrderStatus.CANCELED)
    native = f"native-{handle.first_execution_run_id}"
    recorded = await wishes_recorded(shop, order.order_id)
    assert recorded == dict.fromkeys(("number-1", "number-2", native), "cancel_accepted")
