"""More cancels at once than a workflow takes updates: each caller learns the true decision, each wish counts once."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from domain.commands import ParcelStatus
from domain.errors import TryAgain
from domain.events import EventName
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, Shop, steps_run
from tests.support.waiting import until
from tests.support.wishes import wishes_heard, wishes_recorded
from workflows.order_fulfillment import OrderFulfillment

pytestmark = pytest.mark.slow

RUSH = 30
TOLD = ("cancel accepted: wish", "cancel joined: wish")
REFUSED = "cancel refused: already_shipped"

# How long the running step is held: until the first wish is in, or until all are.
HELD_UNTIL = pytest.mark.parametrize("heard", [pytest.param(1, marks=pytest.mark.long), RUSH])


async def rush(
    api: httpx.AsyncClient, handle: Handle, order_id: str, faults: StepFaults, held: str, heard: int
) -> list[httpx.Response]:
    """Thirty cancels while `held` does not get on; it does once the workflow has heard so many of them."""

    async def cancel(number: int) -> httpx.Response:
        return await api.post(f"/api/orders/{order_id}/cancel", json={"reason": f"wish {number:02}"})

    async def enough() -> bool:
        return len(set(await wishes_heard(handle))) >= heard

    cancels = asyncio.gather(*(cancel(number) for number in range(RUSH)))
    await until(enough, True)
    faults.release(held)
    return await cancels


@HELD_UNTIL
async def test_each_of_30_cancels_learns_that_the_order_is_canceled(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults, heard: int
) -> None:
    """While the label is being bought: all are accepted, and what the workflow heard is told once each."""
    faults.hold("ship_order")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("ship_order")
    answers = await rush(api, handle, order.order_id, faults, "ship_order", heard)
    assert {answer.status_code for answer in answers} <= {200, 202}
    decided = Counter((answer.json()["accepted"], answer.json()["decision"]) for answer in answers)
    assert decided[(True, "accepted")] >= 1
    assert decided[(True, "accepted")] + decided[(True, "joined")] == RUSH
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)
    recorded = await wishes_recorded(shop, order.order_id)
    told = [row.what for row in await shop.timeline(order.order_id) if row.what.startswith(TOLD)]
    assert len(told) == len(set(told)) == len(recorded) >= heard


@HELD_UNTIL
async def test_each_of_30_cancels_learns_that_the_parcel_was_scanned(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults, heard: int
) -> None:
    """Only the carrier knows of the scan when they ask: 409 for all, counted in one row, and the order goes on."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "in_transit")
    faults.hold("cancel_shipment")
    answers = await rush(api, handle, order.order_id, faults, "cancel_shipment", heard)
    assert_all_refused(answers, "READY_TO_SHIP")
    if heard == RUSH:
        assert (await steps_run(handle)).count("cancel_shipment") == 1
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    assert await shop.books(order.order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )
    assert Counter((await wishes_recorded(shop, order.order_id)).values()) == {"already_shipped": RUSH}
    assert [row.what for row in await shop.timeline(order.order_id)].count(REFUSED) == 1
    assert [event.type for event in await shop.events(order.order_id)].count(EventName.CANCEL_REFUSED.type) == 1
    order_now = (await api.get(f"/api/orders/{order.order_id}")).json()
    assert order_now["refusedCancels"] == {"already_shipped": RUSH}


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
    answers = await rush(api, handle, order.order_id, faults, "capture_payment", 1)
    assert {answer.status_code for answer in answers} == {409}
    assert {answer.json()["code"] for answer in answers} == {"already_shipped"}
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await shop.books(order.order_id)).kept == 2000
    assert Counter((await wishes_recorded(shop, order.order_id)).values()) == {"already_shipped": RUSH}
    await handle.terminate()


async def test_each_of_30_cancels_is_accepted_when_the_order_never_started(
    api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """Placed while the engine was away: whoever comes first starts the workflow, and nothing is reserved."""
    order = await shop.put(await shop.product())
    answers = await asyncio.gather(*(api.post(f"/api/orders/{order.order_id}/cancel") for _ in range(RUSH)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert {answer.json()["accepted"] for answer in answers} == {True}
    await until(lambda: shop.status(order.order_id), OrderStatus.CANCELED)
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Pending", on_hand=10)


def assert_all_refused(answers: list[httpx.Response], status: str) -> None:
    assert Counter(answer.status_code for answer in answers) == {409: RUSH}
    told = {(answer.json()["code"], answer.json()["orderStatus"], answer.json()["detail"]) for answer in answers}
    assert told == {("already_shipped", status, "the parcel was scanned already")}
