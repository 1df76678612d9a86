"""Orders whose workflow was terminated at each step: one reconciliation later all stock and money is back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from _pytest.mark import ParameterSet
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.worker import Replayer

from domain.commands import Attention, CancelRequest, ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from domain.repairs import STEP_KEEPS_FAILING
from services.orders.book import OrderBook
from services.tickets.book import open_ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, Shop, undos_run
from tests.support.reconciling import open_tickets, reconcile, recovery_of
from tests.support.waiting import until
from worker import workflow_runner
from workflows.order import search_attributes
from workflows.order_fulfillment import OrderFulfillment
from workflows.order_recovery import OrderRecovery

FORWARD = {
    ("reserve_inventory", "before"): "REJECTED",
    ("reserve_inventory", "after"): "REJECTED",
    ("authorize_payment", "before"): "REJECTED",
    ("authorize_payment", "after"): "CANCELED",  # it was confirmed
    ("ship_order", "before"): "CANCELED",
    ("ship_order", "after"): "CANCELED",
    ("capture_payment", "before"): "CANCELED",
    ("capture_payment", "after"): "CANCELED",
}
FORWARD_STEPS = tuple(dict.fromkeys(step for step, _ in FORWARD))
MOMENTS = ("before", "after")
UNDO = ("record_cancel_request", "cancel_shipment", "return_payment", "release_inventory", "close_order")
ON_ITS_WAY = ("record_shipped", "record_delivered")


def in_turn(steps: tuple[str, ...]) -> Iterator[ParameterSet]:
    """Each step with one moment, in turn; `make proof` runs the other one."""
    for number, (step, moment) in enumerate(product(steps, MOMENTS)):
        marks = () if number % 2 == number // 2 % 2 else (pytest.mark.long,)
        yield pytest.param(step, moment, id=f"{step}-{moment}", marks=marks)


def hold(faults: StepFaults, step: str, moment: str) -> None:
    (faults.hold if moment == "before" else faults.hold_answer)(step)


def assert_nothing_left(books: Books) -> None:
    assert (books.on_hand, books.reserved, books.held, books.kept, books.labels) == (10, 0, 0, 0, 0)


def _id(handle: Handle) -> str:
    return handle.id.removeprefix("order-")


async def stopped_at(shop: Shop, faults: StepFaults, step: str, moment: str = "before") -> Handle:
    """A terminated order, one of whose steps stands still at a moment."""
    hold(faults, step, moment)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived(step)
    await handle.terminate("by mistake")
    return handle


def forward() -> Iterator[ParameterSet]:
    """What a recovery has to find out for itself; `make proof` runs the others, whose end other tests here show."""
    unknown = {("authorize_payment", "before"), *((step, "after") for step in FORWARD_STEPS[:-1])}
    for case in FORWARD:
        yield pytest.param(*case, id="-".join(case), marks=() if case in unknown else (pytest.mark.long,))


@pytest.mark.parametrize(("step", "moment"), list(forward()))
async def test_an_order_that_was_terminated_on_its_way_is_fully_undone(
    shop: Shop, faults: StepFaults, step: str, moment: str
) -> None:
    """Before and after the effect of step k, whose attempt comes to its end only when the recovery is over."""
    order_id = _id(await stopped_at(shop, faults, step, moment))

    assert (await reconcile(shop, order_id)).recovered == 1
    end = await recovery_of(shop, order_id).result()
    await released(faults, step)

    assert end.value == FORWARD[step, moment]
    books = await shop.books(order_id)
    assert_nothing_left(books)
    assert books.status == end
    assert [row.what for row in await shop.timeline(order_id)][-1].endswith("its workflow was terminated")
    assert (await reconcile(shop, order_id)).model_dump(exclude={"stuck", "lost", "stopped"}) == {
        "looked_at": 0,
        "recovered": 0,
        "drifts": 0,
    }


async def released(faults: StepFaults, step: str) -> None:
    """Lets the attempts go that wait, and waits for their end: they change the order's row."""
    faults.release(step)
    await until(lambda: _attempts_over(faults, step), True)


async def _attempts_over(faults: StepFaults, step: str) -> bool:
    return faults.ended.count(step) == faults.calls.count(step)


@pytest.mark.parametrize(("step", "moment"), list(in_turn(UNDO)))
async def test_an_order_that_was_terminated_while_it_was_undone_is_undone_to_the_end(
    shop: Shop, faults: StepFaults, step: str, moment: str
) -> None:
    """Before and after the effect of each undo; what was given back before is not given back twice."""
    hold(faults, step, moment)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order, "changed my mind")
    await faults.arrived(step)
    await handle.terminate("by mistake")
    (faults.abandon if moment == "before" else faults.release)(step)
    await until(lambda: _attempts_over(faults, step), True)

    await reconcile(shop, order.order_id)

    if (step, moment) != ("close_order", "after"):  # there everything was done
        assert await recovery_of(shop, order.order_id).result() is OrderStatus.CANCELED
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)
    whats = [row.what for row in await shop.timeline(order.order_id)]
    assert [whats.count(one) for one in ("label voided", "payment refunded", "stock released")] == [1, 1, 1]


@pytest.mark.parametrize(("step", "moment"), list(in_turn(ON_ITS_WAY)))
async def test_an_order_whose_parcel_is_on_its_way_goes_forward(
    shop: Shop, faults: StepFaults, step: str, moment: str
) -> None:
    """A parcel cannot be called back: the recovery records its way, and the customer has paid for it."""
    hold(faults, step, moment)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "delivered" if step == "record_delivered" else "in_transit")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    await faults.arrived(step)
    await handle.terminate("by mistake")
    (faults.abandon if moment == "before" else faults.release)(step)
    await until(lambda: _attempts_over(faults, step), True)

    await reconcile(shop, order.order_id)

    recovery = recovery_of(shop, order.order_id)
    if step == "record_shipped":
        await until(lambda: shop.status(order.order_id), OrderStatus.SHIPPED)
        refused = await recovery.execute_update(OrderFulfillment.cancel, CancelRequest())
        assert (refused.accepted, refused.code) == (False, "already_shipped")
        await recovery.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    if (step, moment) != ("record_delivered", "after"):  # there everything was done
        assert await recovery.result() is OrderStatus.DELIVERED
    assert await shop.books(order.order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )
    assert [row.to_status for row in await shop.timeline(order.order_id)].count("DELIVERED") == 1


async def test_a_label_that_was_scanned_before_the_capture_is_paid_and_delivered(
    shop: Shop, faults: StepFaults
) -> None:
    """CONFIRMED, scanned early, terminated: undoing it would give the customer goods and money."""
    handle = await stopped_at(shop, faults, "capture_payment")
    order_id = _id(handle)
    await shop.parcel(order_id, "in_transit")
    await released(faults, "capture_payment")

    await reconcile(shop, order_id)
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await recovery_of(shop, order_id).signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)

    assert await recovery_of(shop, order_id).result() is OrderStatus.DELIVERED
    assert await shop.books(order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )


async def test_money_waits_until_the_carrier_has_confirmed_the_void(shop: Shop, faults: StepFaults) -> None:
    """Terminated between the wish to void and its confirmation: the recovery asks before it gives money back."""
    settings = f"{shop.stack.urls.carrier}/_control/settings"
    (await shop.http.post(settings, json={"refund_delay": 1})).raise_for_status()
    try:
        order_id = _id(await stopped_at(shop, faults, "capture_payment", "after"))
        await released(faults, "capture_payment")
        faults.hold("confirm_void")
        await reconcile(shop, order_id)
        await faults.arrived("confirm_void")
        assert (await shop.books(order_id)).kept == 2000
        await until(lambda: shop.live_labels(order_id), 0)
    finally:
        (await shop.http.post(settings, json={"refund_delay": 0})).raise_for_status()
    faults.release("confirm_void")

    assert await recovery_of(shop, order_id).result() is OrderStatus.CANCELED
    undos = ["cancel_shipment", "confirm_void", "return_payment", "release_inventory"]
    assert await undos_run(recovery_of(shop, order_id)) == undos
    assert_nothing_left(await shop.books(order_id))


async def test_a_recovery_replays(shop: Shop, faults: StepFaults) -> None:
    """Its code is as deterministic as the saga's: an order in recovery survives the worker that has it."""
    order_id = _id(await stopped_at(shop, faults, "capture_payment"))
    await released(faults, "capture_payment")
    await reconcile(shop, order_id)
    recovery = recovery_of(shop, order_id)
    await recovery.result()
    replayer = Replayer(
        workflows=[OrderRecovery], data_converter=shop.client.data_converter, workflow_runner=workflow_runner()
    )
    await replayer.replay_workflow(await recovery.fetch_history())
    assert_nothing_left(await shop.books(order_id))


@pytest.mark.slow
async def test_a_recovery_that_was_terminated_is_recovered(shop: Shop, faults: StepFaults) -> None:
    """However often somebody terminates it: the next reconciliation goes on where it stood."""
    handle = await stopped_at(shop, faults, "capture_payment", "after")
    order_id = _id(handle)
    await released(faults, "capture_payment")
    for undo in ("return_payment", "release_inventory", "close_order"):
        faults.hold(undo)
        assert (await reconcile(shop, order_id)).recovered == 1
        await faults.arrived(undo)
        await recovery_of(shop, order_id).terminate("again")
        faults.release(undo)
        await until(lambda undo=undo: _attempts_over(faults, undo), True)  # type: ignore[misc]

    await reconcile(shop, order_id)

    assert (await shop.status(order_id)) is OrderStatus.CANCELED
    assert_nothing_left(await shop.books(order_id))


async def test_whoever_talks_to_an_order_in_recovery_finds_nothing_missing(shop: Shop, faults: StepFaults) -> None:
    """Updates are answered, signals are taken, and a native cancellation is honored when all is undone."""
    handle = await stopped_at(shop, faults, "ship_order")
    order_id = _id(handle)
    await released(faults, "ship_order")
    faults.hold("return_payment")
    await reconcile(shop, order_id)
    recovery = recovery_of(shop, order_id)
    await faults.arrived("return_payment")

    joined = await recovery.execute_update(OrderFulfillment.cancel, CancelRequest(reason="me, too"))
    for signal in ("ship_now", "payment_changed", "cancel_order"):
        await recovery.signal(signal)
    await recovery.cancel()
    assert (await recovery.execute_update(OrderFulfillment.checkout)).status is OrderStatus.CANCELING
    faults.release("return_payment")

    assert (joined.accepted, joined.code) == (True, "already_canceling")
    with pytest.raises(WorkflowFailureError) as ended:
        await recovery.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert await undos_run(recovery) == ["cancel_shipment", "return_payment", "release_inventory"]
    assert_nothing_left(await shop.books(order_id))


async def test_what_the_former_workflow_called_a_person_about_is_settled(shop: Shop, faults: StepFaults) -> None:
    """A step kept failing, a person terminated the order: its ticket is closed when all is undone."""
    faults.fail("capture_payment", TryAgain("away"), times=1000)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: _tried(faults, "capture_payment"), True)
    about = Attention(order_id=order.order_id, step="capture_payment", kind=STEP_KEEPS_FAILING)
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        await open_ticket(locked, about)
    await handle.terminate("it never ends")

    assert (await reconcile(shop, order.order_id)).recovered == 1
    await recovery_of(shop, order.order_id).result()

    assert await open_tickets(shop, order.order_id) == []
    assert not (await shop.order(order.order_id)).needs_attention
    attributes = (await recovery_of(shop, order.order_id).describe()).typed_search_attributes
    assert attributes[search_attributes.NEEDS_ATTENTION] is False
    assert attributes[search_attributes.ORDER_STATUS] == "CANCELED"
    assert_nothing_left(await shop.books(order.order_id))


async def _tried(faults: StepFaults, step: str) -> bool:
    return faults.ended.count(step) > 0
