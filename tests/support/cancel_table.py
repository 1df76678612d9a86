"""Orders in each state of the cancel table, the ways to ask for a cancel, and how an order has to end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio.client import WorkflowFailureError

from domain.cancellation import Decision
from domain.commands import ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from tests.support.any_shop import AnyShop
from tests.support.fakes import StepFaults
from tests.support.orders import Handle
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

# What is held in the worker so that the order stays in the row's status until it has been asked to cancel.
HELD = {
    OrderStatus.PLACED: "reserve_inventory",
    OrderStatus.RESERVED: "authorize_payment",
    OrderStatus.CANCELING: "release_inventory",
    OrderStatus.SHIPPED: None,
    OrderStatus.AWAITING_CUSTOMER: None,
    OrderStatus.CONFIRMED: None,
    OrderStatus.READY_TO_SHIP: None,
}


async def order_in(status: OrderStatus, shop: AnyShop, faults: StepFaults) -> tuple[str, Handle]:
    """An order whose workflow is open and whose row says `status`."""
    waits = status is OrderStatus.AWAITING_CUSTOMER
    method = "pm_card_authenticationRequired" if waits else "pm_card_visa"
    order = await shop.put(await shop.product(), payment_method=method)
    if (step := HELD[status]) is not None and status is not OrderStatus.CANCELING:
        faults.fail(step, TryAgain("so that it runs as an ordinary activity"))
        faults.hold(step)
    confirmed = status in (OrderStatus.CONFIRMED, OrderStatus.CANCELING)
    handle = await shop.start(order, ship_in=timedelta(days=1) if confirmed else None)
    if status is OrderStatus.CANCELING:
        faults.hold("release_inventory")
        await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
        await handle.signal(OrderFulfillment.cancel_order)
    if status is OrderStatus.SHIPPED:
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
        await shop.parcel(order.order_id, "in_transit")
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    if step is not None:
        await faults.arrived(step)
    await until(lambda: shop.status(order.order_id), status)
    return order.order_id, handle


async def by_signal_without_input(handle: Handle) -> None:
    await handle.signal("cancel_order")


async def by_signal_with_a_string(handle: Handle) -> None:
    await handle.signal("cancel_order", "typed in the Web UI")


async def by_signal_with_an_object(handle: Handle) -> None:
    await handle.signal("cancel_order", {"reason": "typed in the Web UI", "by": "kim"})


async def by_native_cancellation(handle: Handle) -> None:
    await handle.cancel()


WAYS = (by_signal_without_input, by_signal_with_a_string, by_signal_with_an_object, by_native_cancellation)
Way = Callable[[Handle], Awaitable[None]]


async def assert_ends_as(decision: Decision, order_id: str, handle: Handle, shop: AnyShop) -> None:
    if decision is Decision.REFUSED:
        await until(lambda: refusals(shop, order_id), 1)
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    try:
        await handle.result()
    except WorkflowFailureError:
        described = await handle.describe()
        assert described.status is not None and described.status.name == "CANCELED"
    books = await shop.books(order_id)
    if decision is Decision.REFUSED:
        assert (books.status, books.on_hand, books.kept, books.labels) == ("DELIVERED", 8, 2000, 1)
    else:
        assert books.status == "CANCELED"
        assert (books.on_hand, books.reserved, books.held, books.kept, books.labels) == (10, 0, 0, 0, 0)


async def refusals(shop: AnyShop, order_id: str) -> int:
    return sum(row.what.startswith("cancel refused") for row in await shop.timeline(order_id))
