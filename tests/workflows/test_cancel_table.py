"""The cancel table, row by row, for each way in which an order can be canceled.

Closed orders (DELIVERED, CANCELED, REJECTED) have no workflow to ask any more: the API answers them from the row,
by the same table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowUpdateStage
from temporalio.service import RPCError, RPCStatusCode

from domain import cancellation
from domain.cancellation import Decision
from domain.commands import CancelRequest, ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
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
    said = [row.what.partition(":")[0] for row in rows]
    if decision is Decision.REFUSED:
        assert [row.what for row in rows] == ["cancel refused: already_shipped"]
    else:
        assert reason in rows[-1].what
        asked_carrier = ["cancel requested, the carrier decides"] if decision is Decision.CARRIER_DECIDES else []
        assert said == [*asked_carrier, "cancel accepted"]


@pytest.mark.parametrize("status", HELD)
async def test_the_api_answers_what_the_table_says(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults, status: OrderStatus
) -> None:
    """202 for what is granted or joined, 409 with the rule's code for what is refused."""
    order_id, handle = await order_in(status, shop, faults)
    asking = asyncio.create_task(api.post(f"/api/orders/{order_id}/cancel", json={"reason": "by HTTP", "by": "lee"}))
    rule = cancellation.TABLE[status]
    if status is OrderStatus.SHIPPED:
        assert not await was_taken_up(handle)  # its row leaves no choice
    elif rule.decision is not Decision.JOINED:
        await until(lambda: was_taken_up(handle), True)
        if (step := HELD[status]) is not None:
            faults.release(step)
    assert_answers(await asking, rule)
    faults.release("release_inventory")
    await assert_ends_as(rule.decision, order_id, handle, shop)


ENDS = {
    OrderStatus.DELIVERED: "pm_card_visa",
    OrderStatus.CANCELED: "pm_card_visa",
    OrderStatus.REJECTED: "pm_card_chargeDeclined",
}


@pytest.mark.parametrize("status", ENDS)
async def test_a_closed_order_is_answered_by_the_table_in_every_form(
    api: httpx.AsyncClient, shop: Shop, worker: None, status: OrderStatus
) -> None:
    """There is no workflow to hear signal, update or native cancellation; the API answers from the row."""
    order = await shop.put(await shop.product(), payment_method=ENDS[status])
    handle = await shop.start(order, by_signal="at once" if status is OrderStatus.CANCELED else None)
    if status is OrderStatus.DELIVERED:
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is status
    books, timeline = await shop.books(order.order_id), await shop.timeline(order.order_id)
    for way in (*WAYS[:-1], by_update):
        with pytest.raises(RPCError) as nobody:
            await way(handle)
        assert nobody.value.status is RPCStatusCode.NOT_FOUND
    await by_native_cancellation(handle)  # the engine has nothing to say to it
    assert_answers(await api.post(f"/api/orders/{order.order_id}/cancel"), cancellation.TABLE[status])
    assert (await shop.books(order.order_id), await shop.timeline(order.order_id)) == (books, timeline)


def test_every_row_of_the_table_is_walked() -> None:
    """Open and closed orders together."""
    assert {*HELD, *ENDS} == set(cancellation.TABLE)


async def by_update(handle: Handle) -> None:
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest())


async def was_taken_up(handle: Handle) -> bool:
    taken = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return any(event.event_type == taken for event in (await handle.fetch_history()).events)


def assert_answers(answer: httpx.Response, rule: cancellation.Rule) -> None:
    rule = cancellation.LABEL_VOIDED if rule.decision is Decision.CARRIER_DECIDES else rule
    told = answer.json()
    if rule.decision is Decision.REFUSED:
        assert (answer.status_code, told["code"]) == (409, rule.code)
    else:
        assert answer.status_code in (200, 202)
        assert (told["accepted"], told["decision"], told["code"]) == (True, rule.decision, rule.code)


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
