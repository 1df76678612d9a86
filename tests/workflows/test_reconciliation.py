"""The reconciliation as a whole: what it must never touch, what it finds, and that it runs by its schedule."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime, timedelta

import pytest
from sqlmodel import update
from temporalio.client import Client

from activities.recovery.reconciliation import STUCK_AFTER
from adapters.clock import now
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from adapters.temporal.schedules import ensure_schedules, schedule_id
from domain.commands import FulfillOrder, ParcelStatus
from domain.order_states import OrderStatus
from domain.recovery import Reconciled
from services.orders.tables import Order
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, Shop
from tests.support.reconciling import open_tickets, owner, reconcile, recovery_of
from tests.support.waiting import until
from worker import build_activities, build_worker
from workflows.order_fulfillment import OrderFulfillment

NOTHING = Reconciled()
FOR_LONG = timedelta(hours=1)


async def in_each_live_state(shop: Shop, faults: StepFaults) -> dict[OrderStatus, Handle]:
    """One order in each state that is not over, all of them running."""
    handles = {}

    async def at(status: OrderStatus, **more: object) -> Handle:
        handles[status] = await shop.start(await shop.put(await shop.product(), **more), ship_in=wait)  # type: ignore[arg-type]
        await until(lambda: shop.status(_id(handles[status])), status)
        return handles[status]

    wait: timedelta | None = None
    for status in (OrderStatus.READY_TO_SHIP, OrderStatus.SHIPPED, OrderStatus.CANCELING):
        await at_ready(shop, handles, status)
    await shop.parcel(_id(handles[OrderStatus.SHIPPED]), "in_transit")
    await handles[OrderStatus.SHIPPED].signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    faults.hold("return_payment")
    await handles[OrderStatus.CANCELING].signal(OrderFulfillment.cancel_order)
    await faults.arrived("return_payment")
    wait = FOR_LONG
    await at(OrderStatus.CONFIRMED)
    await at(OrderStatus.AWAITING_CUSTOMER, payment_method="pm_card_authenticationRequired")
    faults.hold("authorize_payment")
    await at(OrderStatus.RESERVED)
    faults.hold("reserve_inventory")
    await at(OrderStatus.PLACED)
    return handles


async def at_ready(shop: Shop, handles: dict[OrderStatus, Handle], name: OrderStatus) -> None:
    handles[name] = await shop.start(await shop.put(await shop.product()))
    await until(lambda: shop.status(_id(handles[name])), OrderStatus.READY_TO_SHIP)


def _id(handle: Handle) -> str:
    return handle.id.removeprefix("order-")


async def test_a_live_order_is_never_touched(shop: Shop, faults: StepFaults) -> None:
    """One in each state, each at rest for long by its row: all are looked at, and not a row changes."""
    handles = await in_each_live_state(shop, faults)
    order_ids = [_id(handle) for handle in handles.values()]
    runs = [(await owner(shop, order_id)).run_id for order_id in order_ids]
    rows = [await shop.order(order_id) for order_id in order_ids]
    assert {row.status for row in rows} == handles.keys()

    found = await reconcile(shop, *order_ids)

    assert found == Reconciled(looked_at=len(handles))
    assert [await shop.order(order_id) for order_id in order_ids] == rows
    assert [(await owner(shop, order_id)).run_id for order_id in order_ids] == runs
    for step in ("return_payment", "authorize_payment", "reserve_inventory"):
        faults.release(step)
    await until(lambda: shop.status(order_ids[2]), OrderStatus.CANCELED)


async def test_a_new_order_whose_workflow_is_about_to_start_is_never_touched(shop: Shop, worker: None) -> None:
    """Stored a moment ago: nobody looks at it before it was unchanged for a while."""
    order = await shop.put(await shop.product())
    assert await reconcile(shop, order.order_id, unchanged_for=timedelta(minutes=10)) == NOTHING
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)


async def test_an_order_that_never_started_is_swept_once_it_has_rested(shop: Shop, worker: None) -> None:
    """It holds nothing, and its row says why it is over."""
    order = await shop.put(await shop.product())
    await rest(shop, order, now() - timedelta(minutes=11))

    found = await reconcile(shop, order.order_id, unchanged_for=timedelta(minutes=10))

    assert found.recovered == 1
    assert await recovery_of(shop, order.order_id).result() is OrderStatus.REJECTED
    assert await shop.books(order.order_id) == Books(status="REJECTED", payment_status="Pending", on_hand=10)
    assert (await shop.order(order.order_id)).refusal == {
        "code": "never_started",
        "detail": "its workflow was never started",
    }


async def rest(shop: Shop, order: FulfillOrder, since: datetime) -> None:
    async with shop.sessions() as session, session.begin():
        long_ago = update(Order).where(Order.order_id == order.order_id)  # type: ignore[arg-type]
        await session.exec(long_ago.values(updated_at=since))


async def test_an_order_whose_workflow_timed_out_is_undone(shop: Shop, faults: StepFaults) -> None:
    """Whoever started it with a limit of its own: the engine closed it without running any code."""
    faults.hold("capture_payment")
    order = await shop.put(await shop.product())
    handle = await shop.client.start_workflow(
        OrderFulfillment.run,
        order,
        id=workflow_id(order.order_id),
        task_queue=shop.settings.task_queue,
        execution_timeout=timedelta(seconds=2),
    )
    await faults.arrived("capture_payment")
    await until(lambda: _status(handle), "TIMED_OUT")
    faults.release("capture_payment")
    await until(lambda: _over(faults, "capture_payment"), True)

    await reconcile(shop, order.order_id)

    assert await recovery_of(shop, order.order_id).result() is OrderStatus.CANCELED
    books = await shop.books(order.order_id)
    assert (books.reserved, books.held, books.kept, books.labels) == (0, 0, 0, 0)
    assert (await shop.timeline(order.order_id))[-1].what == "canceled: its workflow timed out"


async def _over(faults: StepFaults, step: str) -> bool:
    return faults.ended.count(step) == faults.calls.count(step)


async def _status(handle: Handle) -> str:
    status = (await handle.describe()).status
    return status.name if status else ""


async def test_two_reconciliations_at_once_recover_an_order_once(shop: Shop, worker: None) -> None:
    """Both see the same orders: the engine lets one recovery begin."""
    orders = [await shop.put(await shop.product()) for _ in range(3)]
    order_ids = [order.order_id for order in orders]

    found = await asyncio.gather(*(reconcile(shop, *order_ids) for _ in range(3)))

    assert sum(one.recovered for one in found) == len(orders)
    for order_id in order_ids:
        assert await recovery_of(shop, order_id).result() is OrderStatus.REJECTED
        assert len(await shop.timeline(order_id)) == 2


async def test_goes_through_all_orders_batch_by_batch(shop: Shop, worker: None) -> None:
    """More orders than one batch has, some of which were stored at the same moment: each is looked at once."""
    orders = [await shop.put(await shop.product()) for _ in range(5)]
    at = now() - timedelta(minutes=1)
    for order in orders[:3]:
        await rest(shop, order, at)
    found = await reconcile(shop, *(order.order_id for order in orders), batch=2)
    assert found == Reconciled(looked_at=5, recovered=5)


async def test_a_reconciliation_that_races_with_the_start_leaves_one_owner(shop: Shop, worker: None) -> None:
    """Whoever is first has the order: each ends on its way or undone, and never both."""
    orders = [await shop.put(await shop.product()) for _ in range(6)]
    starts = [shop.start(order) for order in orders]

    await asyncio.gather(
        *starts[:3], reconcile(shop, *(one.order_id for one in orders)), *starts[3:], return_exceptions=True
    )

    for order in orders:
        await until(lambda order=order: _settled(shop, order.order_id), True)  # type: ignore[misc]
        assert await shop.books(order.order_id) in (
            Books(status="READY_TO_SHIP", payment_status="Captured", on_hand=10, reserved=2, kept=2000, labels=1),
            Books(status="REJECTED", payment_status="Pending", on_hand=10),
        )


async def _settled(shop: Shop, order_id: str) -> bool:
    return await shop.status(order_id) in (OrderStatus.READY_TO_SHIP, OrderStatus.REJECTED)


@pytest.mark.slow
async def test_a_stuck_workflow_task_reaches_a_person_until_it_is_over(shop: Shop, worker: None) -> None:
    """A worker that cannot run an order's code: a ticket, which closes by itself when the order gets on."""
    order = await shop.put(await shop.product())
    handle = await shop.client.start_workflow(
        "OrderFulfillmentOfAnotherVersion",
        order,
        id=workflow_id(order.order_id),
        task_queue=shop.settings.task_queue,
    )

    async def attempts() -> int:
        return min(STUCK_AFTER, (await handle.describe()).raw_description.pending_workflow_task.attempt)

    await until(attempts, STUCK_AFTER)
    assert (await reconcile(shop, order.order_id)).stuck == 1
    assert await open_tickets(shop, order.order_id) == ["stuck_workflow_task"]
    assert await shop.status(order.order_id) is OrderStatus.PLACED
    await handle.terminate("the version is gone")
    await reconcile(shop, order.order_id)
    await recovery_of(shop, order.order_id).result()
    await reconcile(shop, order.order_id)
    assert await open_tickets(shop, order.order_id) == []


@pytest.mark.long
async def test_the_schedule_finds_a_terminated_order_by_itself(
    temporal_client: Client, settings: Settings, shop: Shop
) -> None:
    """As in production, with a period of a second: nobody has to start anything."""
    often = settings.model_copy(
        update={"reconcile_every": timedelta(seconds=1), "reconcile_after": timedelta(seconds=1)}
    )
    order = await shop.put(await shop.product())
    async with build_activities(often) as activities, build_worker(temporal_client, often, activities):
        handle = await shop.start(order)
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
        await handle.terminate("by mistake")
        await ensure_schedules(temporal_client, often)
        try:
            await until(lambda: shop.status(order.order_id), OrderStatus.CANCELED)
        finally:
            for job in ("Reconciliation", "StripeEvents"):
                await temporal_client.get_schedule_handle(schedule_id(job, often.task_queue)).delete()
        assert await recovery_of(shop, order.order_id).result() is OrderStatus.CANCELED
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)


async def test_workers_that_start_at_once_agree_on_the_schedules(temporal_client: Client, settings: Settings) -> None:
    """Created once, changed when the settings differ, left as it is otherwise; a person's pause stays."""
    mine = settings.model_copy(update={"task_queue": f"orders-{secrets.token_hex(4)}"})
    schedule = temporal_client.get_schedule_handle(schedule_id("Reconciliation", mine.task_queue))
    await asyncio.gather(*(ensure_schedules(temporal_client, mine) for _ in range(4)))
    await schedule.pause(note="looking into something")
    before = await schedule.describe()
    await ensure_schedules(temporal_client, mine)
    assert (await schedule.describe()).raw_description.info.update_time == before.raw_description.info.update_time

    slower = mine.model_copy(update={"reconcile_every": timedelta(minutes=7)})
    await asyncio.gather(*(ensure_schedules(temporal_client, slower) for _ in range(4)))

    after = (await schedule.describe()).schedule
    assert [one.every for one in after.spec.intervals] == [timedelta(minutes=7)]
    assert (after.state.paused, after.state.note) == (True, "looking into something")
    for job in ("Reconciliation", "StripeEvents"):
        await temporal_client.get_schedule_handle(schedule_id(job, mine.task_queue)).delete()
