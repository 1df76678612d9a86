"""A parcel that goes astray, or is on its way although its payment was refused: what each decision comes to."""

from __future__ import annotations

import pytest

from domain.commands import CancelRequest, ParcelStatus
from domain.errors import CaptureRefused
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, Shop
from tests.support.repairs import Desk, Ticket
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

LOST = [ParcelStatus.FAILURE, ParcelStatus.RETURNED]


async def lost_parcel(shop: Shop, desk: Desk, status: ParcelStatus) -> tuple[str, Handle, Ticket]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, status)
    return order.order_id, handle, await desk.called(order.order_id, f"parcel_{status}")


@pytest.mark.parametrize("status", LOST, ids=str)
async def test_a_retry_asks_the_carrier_where_the_parcel_is(
    shop: Shop, worker: None, desk: Desk, status: ParcelStatus
) -> None:
    """It was found and delivered: nobody waits six hours for the next look."""
    order_id, handle, ticket = await lost_parcel(shop, desk, status)
    await shop.parcel(order_id, "delivered")

    await desk.settle(ticket, "retry")

    assert await handle.result() is OrderStatus.DELIVERED
    await desk.settled(ticket, ("retry", "alice"), ("closed", "saga"))


@pytest.mark.parametrize("status", LOST, ids=str)
async def test_goods_that_came_by_other_means_are_delivered(
    shop: Shop, worker: None, desk: Desk, status: ParcelStatus
) -> None:
    """mark_done: the shop sent them again, or brought them."""
    order_id, handle, ticket = await lost_parcel(shop, desk, status)

    await desk.settle(ticket, "mark_done", evidence="signed receipt 17")

    assert await handle.result() is OrderStatus.DELIVERED
    assert await shop.books(order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )
    await desk.settled(ticket, ("mark_done", "alice"))
    assert not (await shop.order(order_id)).needs_attention


@pytest.mark.parametrize("status", LOST, ids=str)
async def test_a_parcel_that_is_given_up_ends_the_workflow_and_leaves_the_order_shipped(
    shop: Shop, worker: None, desk: Desk, status: ParcelStatus
) -> None:
    """write_off: nobody waits for it any more, and the timeline says so."""
    order_id, handle, ticket = await lost_parcel(shop, desk, status)

    await desk.settle(ticket, "write_off")

    assert await handle.result() is OrderStatus.SHIPPED
    assert await shop.books(order_id) == Books(
        status="SHIPPED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )
    assert (await shop.timeline(order_id))[-1].what == f"written off: follow_parcel: parcel_{status}"
    await desk.settled(ticket, ("write_off", "alice"))
    assert not (await shop.order(order_id)).needs_attention


async def refused_after_scan(shop: Shop, faults: StepFaults, desk: Desk) -> tuple[str, Handle, Ticket]:
    """The parcel leaves while the capture waits; then Stripe refuses it for good."""
    faults.fail("capture_payment", CaptureRefused("authorization_gone", "the authorization has expired"))
    faults.let_wait("capture_payment", short=True)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: waits(handle), True)
    await shop.parcel(order.order_id, "in_transit")
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest())  # refused: the capture begins anew
    return order.order_id, handle, await desk.called(order.order_id, "refused_after_scan")


async def waits(handle: Handle) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(one.activity_type.name == "capture_payment" and one.attempt > 1 for one in pending)


@pytest.mark.parametrize(("decision", "paid"), [("mark_done", "Captured"), ("write_off", "Failed")])
async def test_an_order_goes_on_whose_capture_was_refused_after_the_scan(
    shop: Shop, faults: StepFaults, desk: Desk, decision: str, paid: str
) -> None:
    """Paid by other means, or not at all: either way it is followed to its customer, and Stripe takes nothing."""
    order_id, handle, ticket = await refused_after_scan(shop, faults, desk)

    await desk.settle(ticket, decision)

    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    books = await shop.books(order_id)
    assert (books.status, books.payment_status, books.on_hand, books.kept) == ("DELIVERED", paid, 8, 0)
    await desk.settled(ticket, (decision, "alice"))


async def test_a_retry_asks_the_carrier_again_after_a_refused_capture(
    shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """The parcel cannot be called back: the ticket stays, the order stays as it is."""
    order_id, handle, ticket = await refused_after_scan(shop, faults, desk)
    asked = faults.finished.count("cancel_shipment")

    await desk.settle(ticket, "retry")

    async def asked_again() -> bool:
        return faults.finished.count("cancel_shipment") > asked

    await until(asked_again, True)
    assert await desk.kinds(order_id) == ["refused_after_scan"]
    assert await shop.status(order_id) is OrderStatus.CONFIRMED
    await handle.terminate()
