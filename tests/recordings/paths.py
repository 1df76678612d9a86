"""The main paths of an order, each walked by a real one: what the recorded histories tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlmodel import select
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from adapters.temporal.client import workflow_id
from domain.commands import CancelRequest, FulfillOrder, ParcelStatus
from domain.errors import OurMistake, TryAgain
from domain.order_states import OrderStatus
from services.payments.tables import Payment
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment
from workflows.saga import policies

Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]


async def delivered(shop: Shop, faults: StepFaults) -> Handle:
    """As the API starts it, with the early answer."""
    order = await shop.put(await shop.product())
    start = WithStartWorkflowOperation(
        OrderFulfillment.run,
        order,
        id=workflow_id(order.order_id),
        task_queue=shop.settings.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    await shop.client.execute_update_with_start_workflow(
        OrderFulfillment.checkout, start_workflow_operation=start, id="checkout"
    )
    handle = await start.workflow_handle()
    return await _deliver(shop, order, handle)


async def declined(shop: Shop, faults: StepFaults) -> Handle:
    return await shop.start(await shop.put(await shop.product(), payment_method="pm_card_chargeDeclined"))


async def out_of_stock(shop: Shop, faults: StepFaults) -> Handle:
    return await shop.start(await shop.put(await shop.product(on_hand=1), quantity=2))


async def address_refused(shop: Shop, faults: StepFaults) -> Handle:
    address = {"street1": "1 UNDELIVERABLE Road", "city": "Nowhere", "zip": "00000", "country": "US"}
    return await shop.start(await shop.put(await shop.product(), address=address))


async def canceled_before_the_first_step(shop: Shop, faults: StepFaults) -> Handle:
    return await shop.start(await shop.put(await shop.product()), by_signal="at once")


async def canceled_while_waiting_to_ship(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _started(shop, OrderStatus.CONFIRMED, ship_in=timedelta(days=1))
    await handle.signal(OrderFulfillment.cancel_order, {"reason": "changed my mind", "by": "alice"})
    return handle


async def canceled_ready_to_ship(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _started(shop, OrderStatus.READY_TO_SHIP)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="found it cheaper"))
    return handle


async def cancel_refused_after_the_scan(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _started(shop, OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "in_transit")
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too late"))
    return await _deliver(shop, order, handle)


async def canceled_natively(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _started(shop, OrderStatus.CONFIRMED, ship_in=timedelta(days=1))
    await handle.cancel()
    return handle


async def canceled_in_a_waiting_retry(shop: Shop, faults: StepFaults) -> Handle:
    faults.let_wait("ship_order")
    _, handle = await _started(shop, OrderStatus.CONFIRMED)
    await until(lambda: _waits_for_a_retry(handle, "ship_order"), True)
    await handle.signal(OrderFulfillment.cancel_order)
    return handle


async def canceled_twice_during_the_undo(shop: Shop, faults: StepFaults) -> Handle:
    faults.hold("return_payment")
    _, handle = await _started(shop, OrderStatus.CONFIRMED, ship_in=timedelta(days=1))
    await handle.signal(OrderFulfillment.cancel_order)
    await faults.arrived("return_payment")
    await handle.signal(OrderFulfillment.cancel_order, "again")
    await handle.cancel()
    faults.release("return_payment")
    return handle


async def customer_authenticated(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _awaiting_customer(shop)
    await _answer_the_bank(shop, order, succeed=True)
    await handle.signal(OrderFulfillment.payment_changed)
    return await _deliver(shop, order, handle)


async def customer_failed_to_authenticate(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _awaiting_customer(shop)
    await _answer_the_bank(shop, order, succeed=False)
    await handle.signal(OrderFulfillment.payment_changed)
    return handle


async def canceled_while_the_customer_had_to_act(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _awaiting_customer(shop)
    await handle.signal(OrderFulfillment.cancel_order)
    return handle


async def repeated_after_failed_local_attempts(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("reserve_inventory", TryAgain("lock timeout"))
    faults.fail("authorize_payment", TryAgain("503"), times=2)
    order, handle = await _started(shop, OrderStatus.READY_TO_SHIP)
    return await _deliver(shop, order, handle)


async def a_parcel_that_was_lost_and_found(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _started(shop, OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.FAILURE)
    await until(lambda: _needs_attention(shop, order.order_id), True)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


async def an_undo_that_took_several_attempts(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("return_payment", TryAgain("503", delay=timedelta(milliseconds=10)), times=3)
    return await address_refused(shop, faults)


async def an_undo_that_waits_for_a_person(shop: Shop, faults: StepFaults) -> Handle:
    """Recorded while it waits: what is open today is what has to go on tomorrow."""
    faults.fail("return_payment", OurMistake("the refund failed"))
    handle = await address_refused(shop, faults)
    await until(lambda: _sleeps(handle, policies.FIRST_SLOW_RETRY), True)
    await handle.terminate("recorded")
    return handle


async def _started(
    shop: Shop, status: OrderStatus, *, ship_in: timedelta | None = None
) -> tuple[FulfillOrder, Handle]:
    """An order that has got as far as `status`."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=ship_in)
    await until(lambda: shop.status(order.order_id), status)
    return order, handle


async def _awaiting_customer(shop: Shop) -> tuple[FulfillOrder, Handle]:
    order = await shop.put(await shop.product(), payment_method="pm_card_authenticationRequired")
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.AWAITING_CUSTOMER)
    return order, handle


async def _sleeps(handle: Handle, time: timedelta) -> bool:
    """Whether the order's last timer is one of that length."""
    events = (await handle.fetch_history()).events
    timers = [
        event.timer_started_event_attributes for event in events if event.HasField("timer_started_event_attributes")
    ]
    return bool(timers) and timers[-1].start_to_fire_timeout.ToTimedelta() == time


async def _needs_attention(shop: Shop, order_id: str) -> bool:
    return (await shop.order(order_id)).needs_attention


async def _waits_for_a_retry(handle: Handle, step: str) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(activity.activity_type.name == step and activity.attempt > 1 for activity in pending)


async def _answer_the_bank(shop: Shop, order: FulfillOrder, *, succeed: bool) -> None:
    """The customer at the bank's 3-D Secure page."""
    async with shop.sessions() as session:
        query = select(Payment).where(Payment.order_id == order.order_id)
        payment = (await session.exec(query)).one()
    url = f"{shop.stack.urls.stripe}/_control/payment_intents/{payment.payment_intent_id}/authenticate"
    (await shop.http.post(url, json={"succeed": succeed})).raise_for_status()


async def _deliver(shop: Shop, order: FulfillOrder, handle: Handle) -> Handle:
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: shop.status(order.order_id), OrderStatus.SHIPPED)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        delivered,
        declined,
        out_of_stock,
        address_refused,
        canceled_before_the_first_step,
        canceled_while_waiting_to_ship,
        canceled_ready_to_ship,
        cancel_refused_after_the_scan,
        canceled_natively,
        canceled_in_a_waiting_retry,
        canceled_twice_during_the_undo,
        customer_authenticated,
        customer_failed_to_authenticate,
        canceled_while_the_customer_had_to_act,
        repeated_after_failed_local_attempts,
        a_parcel_that_was_lost_and_found,
        an_undo_that_took_several_attempts,
        an_undo_that_waits_for_a_person,
    )
}
