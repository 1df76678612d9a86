"""More cancels at once than a workflow takes updates: every caller learns the true decision."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from temporalio.api.enums.v1 import EventType

from domain.commands import ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from tests.fakes import StepFaults
from tests.orders import Books, Handle, Shop
from tests.waiting import until
from workflows.order_fulfillment import OrderFulfillment

RUSH, AT_ONCE = 30, 10
TAKEN = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
NOTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED

# How long the running step is held: until the updates are in, or until all others are noted as signals, too.
HELD_UNTIL = pytest.mark.parametrize(
    ("event", "times"), [pytest.param(TAKEN, AT_ONCE, marks=pytest.mark.long), (NOTED, RUSH - AT_ONCE)]
)


async def rush(
    api: httpx.AsyncClient, handle: Handle, order_id: str, faults: StepFaults, held: str, event: int, times: int
) -> list[httpx.Response]:
    """Thirty cancels while `held` does not get on; it does once the history has so many of the event."""

    async def cancel(number: int) -> httpx.Response:
        return await api.post(f"/api/orders/{order_id}/cancel", json={"reason": f"wish {number}"})

    async def enough() -> bool:
        return sum(one.event_type == event for one in (await handle.fetch_history()).events) >= times

    cancels = asyncio.gather(*(cancel(number) for number in range(RUSH)))
    await until(enough, True)
    faults.release(held)
    return await cancels


@HELD_UNTIL
async def test_each_of_30_cancels_learns_that_the_order_is_canceled(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults, event: int, times: int
) -> None:
    """While the label is being bought: ten are accepted, the others join them, and nobody hears "pending"."""
    faults.hold("ship_order")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("ship_order")
    answers = await rush(api, handle, order.order_id, faults, "ship_order", event, times)
    assert {answer.status_code for answer in answers} <= {200, 202}
    decided = Counter((answer.json()["accepted"], answer.json()["decision"]) for answer in answers)
    assert decided[(True, "accepted")] >= AT_ONCE
    assert decided[(True, "accepted")] + decided[(True, "joined")] == RUSH
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order.order_id) == Books("CANCELED", "Voided", 10, 0, 0, 0, 0)
    if event == NOTED:
        told = " ".join(row.what for row in await shop.timeline(order.order_id))
        assert [number for number in range(RUSH) if f"wish {number}" not in told] == []


@HELD_UNTIL
async def test_each_of_30_cancels_learns_that_the_parcel_was_scanned(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults, event: int, times: int
) -> None:
    """Only the carrier knows of the scan when they ask: 409 for all, and the order goes on."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "in_transit")
    faults.hold("cancel_shipment")
    answers = await rush(api, handle, order.order_id, faults, "cancel_shipment", event, times)
    assert_all_refused(answers, "READY_TO_SHIP")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    assert await shop.books(order.order_id) == Books("DELIVERED", "Captured", 8, 0, 0, 2000, 1)
    if event == NOTED:
        refusals = [row.what for row in await shop.timeline(order.order_id) if row.what.startswith("cancel refused")]
        assert len(refusals) == RUSH


async def test_each_of_30_cancels_is_refused_when_the_parcel_left_before_the_capture(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults
) -> None:
    """The order is still CONFIRMED in every answer, and the capture goes on."""
    faults.fail("capture_payment", TryAgain("away"))
    faults.hold("capture_payment")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("capture_payment")
    await shop.parcel(order.order_id, "in_transit")
    answers = await rush(api, handle, order.order_id, faults, "capture_payment", TAKEN, AT_ONCE)
    assert {answer.status_code for answer in answers} == {409}
    assert {answer.json()["code"] for answer in answers} == {"already_shipped"}
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await shop.books(order.order_id)).kept == 2000
    await handle.terminate()


def assert_all_refused(answers: list[httpx.Response], status: str) -> None:
    assert Counter(answer.status_code for answer in answers) == {409: RUSH}
    told = {(answer.json()["code"], answer.json()["orderStatus"], answer.json()["detail"]) for answer in answers}
    assert told == {("already_shipped", status, "the parcel was scanned already")}
