"""What an order costs its engine in history events, and that saving them changes no decision."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WithStartWorkflowOperation, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import CancelledError
from temporalio.workflow import LocalActivityConfig

from adapters.temporal.client import workflow_id
from domain.commands import FulfillOrder, ParcelStatus
from domain.errors import CaptureRefused, OurMistake
from domain.order_states import OrderStatus
from domain.processes import Process
from tests.support.fake_shop import FakeShop
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, steps_run, undos_run
from tests.support.waiting import until
from workflows.order.search_attributes import ORDER_STATUS
from workflows.order_fulfillment import OrderFulfillment
from workflows.saga import policies

FULL_UNDO = ["cancel_shipment", "return_payment", "release_inventory"]
REFUNDED = Books(status="CANCELED", payment_status="Refunded", on_hand=10)


async def checked_out(shop: FakeShop, process: Process) -> tuple[FulfillOrder, Handle]:
    """As the API starts it; the checkout has its answer."""
    order = (await shop.put(await shop.product())).model_copy(update={"process": process})
    start = WithStartWorkflowOperation(
        OrderFulfillment.run,
        order,
        id=workflow_id(order.order_id),
        task_queue=shop.settings.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    update = OrderFulfillment.checkout
    answer = await shop.client.execute_update_with_start_workflow(update, start_workflow_operation=start, id="c")
    assert answer.status is OrderStatus.CONFIRMED
    return order, await start.workflow_handle()


async def written(handle: Handle) -> list[str]:
    """The statuses that lists and searches have seen."""
    events = (await handle.fetch_history()).events
    kind = EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
    fields = [
        event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
        for event in events
        if event.event_type == kind
    ]
    return [one["OrderStatus"].data.decode().strip('"') for one in fields if "OrderStatus" in one]


async def seen_as(handle: Handle, status: str) -> bool:
    return (await written(handle))[-1:] == [status]


@pytest.mark.parametrize(("process", "most"), [(Process.LEAN, 17), (Process.FIRST, 25)])
async def test_an_order_is_ready_to_ship_after_so_many_events(
    fake_shop: FakeShop, process: Process, most: int
) -> None:
    """Up to the wait for its parcel. Orders from before go on as they began, for as long as they live."""
    _, handle = await checked_out(fake_shop, process)
    await until(lambda: seen_as(handle, "READY_TO_SHIP"), True)
    assert (await handle.describe()).history_length == most


async def test_a_delivered_order_has_33_events(fake_shop: FakeShop) -> None:
    """Its parcel's two steps are done inside the worker, too, and the list shows how it ended."""
    _, handle = await checked_out(fake_shop, Process.LEAN)
    await until(lambda: seen_as(handle, "READY_TO_SHIP"), True)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: seen_as(handle, "SHIPPED"), True)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    assert (await handle.describe()).history_length == 33
    assert await written(handle) == ["READY_TO_SHIP", "SHIPPED", "DELIVERED"]
    assert await steps_run(handle) == ["ship_order"]


async def test_a_status_that_lasts_is_written_and_one_that_passes_is_not(fake_shop: FakeShop) -> None:
    """An order that waits for tomorrow is listed as CONFIRMED; it was RESERVED for a moment."""
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: written(handle), ["CONFIRMED"])
    assert (await handle.describe()).typed_search_attributes.get(ORDER_STATUS) == "CONFIRMED"
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert (await written(handle))[-1] == "CANCELED"


# a capture inside the worker ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["signal", "native"])
@pytest.mark.parametrize("arrival", ["before_the_effect", "before_the_answer"])
async def test_a_cancel_that_meets_a_local_capture_is_heard_behind_it(
    fake_shop: FakeShop, fake_faults: StepFaults, arrival: str, form: str
) -> None:
    """The attempt is never broken off; then the carrier decides, the label is voided and the money goes back."""
    (fake_faults.hold if arrival == "before_the_effect" else fake_faults.hold_answer)("capture_payment")
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order)
    await fake_faults.arrived("capture_payment")
    await (handle.cancel() if form == "native" else handle.signal(OrderFulfillment.cancel_order))
    fake_faults.release("capture_payment")
    if form == "native":
        with pytest.raises(WorkflowFailureError) as canceled:
            await handle.result()
        assert isinstance(canceled.value.cause, CancelledError)
    else:
        assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == FULL_UNDO
    assert await fake_shop.books(order.order_id) == REFUNDED


async def test_a_slow_capture_goes_on_as_an_ordinary_activity(
    fake_shop: FakeShop, fake_faults: StepFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local attempt has its short time; after it the order can be canceled while the capture runs."""
    soon = policies.LOCAL_ATTEMPT | LocalActivityConfig(start_to_close_timeout=timedelta(seconds=0.3))
    monkeypatch.setattr(policies, "LOCAL_ATTEMPT", soon)
    fake_faults.hold("capture_payment")
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order)
    await until(lambda: steps_run(handle), ["ship_order", "capture_payment"])
    fake_faults.release("capture_payment")
    await until(lambda: fake_shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await fake_shop.books(order.order_id)).kept == 2000


async def test_a_refused_local_capture_is_not_run_twice(fake_shop: FakeShop, fake_faults: StepFaults) -> None:
    """A refusal is an answer: what was done is undone at once."""
    fake_faults.fail("capture_payment", CaptureRefused("authorization_gone", "expired"), times=2)
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order)
    assert await handle.result() is OrderStatus.CANCELED
    assert fake_faults.calls.count("capture_payment") == 1
    assert await undos_run(handle) == FULL_UNDO


async def test_our_mistake_in_a_local_capture_shows_as_an_activity_and_calls_a_person(
    fake_shop: FakeShop, fake_faults: StepFaults
) -> None:
    """It undoes nothing that was promised: the ordinary activity fails where people look, and waits for them."""
    fake_faults.fail("capture_payment", OurMistake("drifted"), times=2)
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order)
    about = "needs attention: capture_payment: step_refused"
    await until(lambda: told(fake_shop, order.order_id, about), True)
    assert await fake_shop.status(order.order_id) is OrderStatus.CONFIRMED
    assert await steps_run(handle) == ["ship_order", "capture_payment", "open_ticket"]
    await until(lambda: written(handle), ["CONFIRMED"])  # now it lasts


async def told(shop: FakeShop, order_id: str, what: str) -> bool:
    return what in [row.what for row in await shop.timeline(order_id)]


# a step that is not done at once -----------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is given half a second before it counts as slow."""
    monkeypatch.setattr(policies, "ATTENTION_AFTER", timedelta(seconds=0.5))


async def test_a_slow_step_calls_a_person_and_is_begun_again_without_a_limit(
    fake_shop: FakeShop, fake_faults: StepFaults, impatient: None
) -> None:
    """No timer was started for it; the order's status is listed now, and the ticket is closed when it is done."""
    fake_faults.hold("ship_order")
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order)
    await until(lambda: told(fake_shop, order.order_id, "needs attention: ship_order: step_keeps_failing"), True)
    assert await written(handle) == ["CONFIRMED"]
    assert await steps_run(handle) == ["ship_order", "ship_order", "open_ticket"]
    fake_faults.release("ship_order")
    await until(lambda: fake_shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert await told(fake_shop, order.order_id, "succeeded by itself: ship_order")
    assert (await fake_shop.books(order.order_id)).labels == 1


async def test_a_far_end_that_asks_for_more_time_than_that_is_waited_for(
    fake_shop: FakeShop, fake_faults: StepFaults
) -> None:
    """The server ends the first activity at once, since its next try would come too late: it has not failed."""
    fake_faults.let_wait("ship_order")
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order)
    await until(lambda: steps_run(handle), ["ship_order", "ship_order"])
    await until(lambda: timers(handle), 1)  # which calls a person, when it is time to
    assert not await told(fake_shop, order.order_id, "needs attention: ship_order: step_keeps_failing")
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == FULL_UNDO


async def timers(handle: Handle) -> int:
    events = (await handle.fetch_history()).events
    return [event.event_type for event in events].count(EventType.EVENT_TYPE_TIMER_STARTED)


async def test_a_cancel_that_meets_the_end_of_the_first_minutes_is_decided(
    fake_shop: FakeShop, fake_faults: StepFaults, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is not begun again: its late attempt ends behind the undo, where its fence stops it."""
    fake_faults.hold("ship_order")
    order = await fake_shop.put(await fake_shop.product())
    handle = await fake_shop.start(order)
    await fake_faults.arrived("ship_order")
    monkeypatch.setattr(policies, "ATTENTION_AFTER", timedelta(minutes=2))  # for what comes after it
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert (await steps_run(handle)).count("ship_order") == 1
    assert await undos_run(handle) == FULL_UNDO
    fake_faults.abandon("ship_order")


# workers that are older than the order -----------------------------------------------------------------------------


async def test_an_order_of_a_later_process_waits_for_a_worker_that_knows_it(fake_shop: FakeShop) -> None:
    """Started by a newer API: the task fails, the order stays open and nothing is done for it yet."""
    order = await fake_shop.put(await fake_shop.product())
    later = {**order.model_dump(mode="json"), "process": max(Process) + 1}
    handle = await fake_shop.client.start_workflow(
        "OrderFulfillment", later, id=secrets.token_hex(8), task_queue=fake_shop.settings.task_queue
    )
    await until(lambda: task_failed(handle), True)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    assert await fake_shop.status(order.order_id) is OrderStatus.PLACED
    await handle.terminate()


async def task_failed(handle: Handle) -> bool:
    events = (await handle.fetch_history()).events
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in events)
