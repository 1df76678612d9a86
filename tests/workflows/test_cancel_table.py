"""The cancel table, row by row, for each way in which an order can be canceled.

Closed orders (DELIVERED, CANCELED, REJECTED) have no workflow to ask any more: the API answers them from the row,
by the same table (`tests/integration/test_api_cancel.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateStage

from domain import cancellation
from domain.cancellation import Decision
from domain.commands import CancelRequest, ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from tests.fakes import StepFaults
from tests.orders import Handle, Shop
from tests.waiting import until
from workflows.order_fulfillment import OrderFulfillment

ACCEPTED = WorkflowUpdateStage.ACCEPTED

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


async def order_in(status: OrderStatus, shop: Shop, faults: StepFaults) -> tuple[str, Handle]:
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


@pytest.mark.parametrize("status", HELD)
async def test_the_update_answers_what_the_table_says(shop: Shop, faults: StepFaults, status: OrderStatus) -> None:
    """The caller learns the rule's decision and code, in every state of an open order."""
    order_id, handle = await order_in(status, shop, faults)
    asking = await handle.start_update(
        OrderFulfillment.cancel, CancelRequest(reason="asked by the API", by="api"), wait_for_stage=ACCEPTED
    )
    joins = cancellation.TABLE[status].decision is Decision.JOINED
    if (step := HELD[status]) is not None and not joins:
        faults.release(step)
    answer = await asking.result()
    rule = cancellation.TABLE[status]
    if rule.decision is Decision.CARRIER_DECIDES:
        rule = cancellation.LABEL_VOIDED
    assert (answer.accepted, answer.code) == (rule.decision is not Decision.REFUSED, rule.code)
    if joins and step is not None:
        faults.release(step)
    await assert_ends_as(rule.decision, order_id, handle, shop)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", HELD)
async def test_signals_and_native_cancellation_follow_the_table(
    shop: Shop, faults: StepFaults, status: OrderStatus, way: Way
) -> None:
    """Whoever asks in whatever form: the same decision, with reason and actor in the timeline."""
    order_id, handle = await order_in(status, shop, faults)
    await way(handle)
    if (step := HELD[status]) is not None:
        faults.release(step)
    decision = cancellation.TABLE[status].decision
    await assert_ends_as(decision, order_id, handle, shop)
    if decision is not Decision.JOINED:
        await assert_told(way, order_id, decision, shop)


async def assert_ends_as(decision: Decision, order_id: str, handle: Handle, shop: Shop) -> None:
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


async def assert_told(way: Way, order_id: str, decision: Decision, shop: Shop) -> None:
    rows = [row for row in await shop.timeline(order_id) if row.what.startswith("cancel ")]
    told: dict[Way, tuple[str, str]] = {
        by_signal_with_an_object: ("kim", "typed in the Web UI"),
        by_signal_with_a_string: ("operations", "typed in the Web UI"),
        by_native_cancellation: ("temporal", ""),
    }
    by, reason = told.get(way, ("operations", "requested"))
    assert all(row.by == by for row in rows)
    if decision is not Decision.REFUSED:
        assert reason in rows[-1].what


async def refusals(shop: Shop, order_id: str) -> int:
    return sum(row.what.startswith("cancel refused") for row in await shop.timeline(order_id))


@pytest.mark.parametrize("given", [12, ["a", "b"], {"unknown": True}, {"reason": None}, ""])
async def test_an_odd_input_of_the_signal_still_cancels(shop: Shop, worker: None, given: Any) -> None:
    """A signal cannot be answered, so whatever a hurried person types must not be lost."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await handle.signal("cancel_order", given)
    assert await handle.result() is OrderStatus.CANCELED
