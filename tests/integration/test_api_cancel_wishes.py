"""A client's repeat is the same wish; where the rows leave no choice no workflow is asked."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from adapters.postgres.database import Sessions
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from domain.steps import FenceState
from engine.update_places import UpdatePlaces
from services.orders.book import OrderBook
from services.orders.tables import OrderStep
from services.shipping.tables import ShipmentRow
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
from tests.support.wishes import wishes_heard, wishes_recorded
from workflows.order_fulfillment import OrderFulfillment

KEY = {"Idempotency-Key": "again"}


async def ready_to_ship(shop: Shop) -> tuple[str, Handle]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    return order.order_id, handle


async def refusals(shop: Shop, order_id: str) -> int:
    return sum(row.what.startswith("cancel refused") for row in await shop.timeline(order_id))


async def test_a_thousandth_cancel_of_a_shipped_order_costs_its_workflow_nothing(
    api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """Refused from the row: no update, no signal, one row in the timeline, and a count."""
    order_id, handle = await ready_to_ship(shop)
    await shop.parcel(order_id, "in_transit")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await until(lambda: tasks_left(handle), 0)
    before = (await handle.describe()).history_length

    answers = await asyncio.gather(*(api.post(f"/api/orders/{order_id}/cancel") for _ in range(40)))

    assert Counter((answer.status_code, answer.json()["code"]) for answer in answers) == {
        (409, "already_shipped"): 40
    }
    assert (await handle.describe()).history_length == before
    assert await refusals(shop, order_id) == 1
    assert (await api.get(f"/api/orders/{order_id}")).json()["refusedCancels"] == {"already_shipped": 40}


async def test_a_scan_that_is_in_the_rows_refuses_without_a_workflow(
    api: httpx.AsyncClient, shop: Shop, sessions: Sessions
) -> None:
    """The order is READY_TO_SHIP, and there is nobody to ask; a label that a person took off is for one to decide."""
    order_id = await scanned(shop, sessions)
    cancel = f"/api/orders/{order_id}/cancel"

    refused = await api.post(cancel)

    assert (refused.status_code, refused.json()["code"]) == (409, "already_shipped")
    assert refused.json()["detail"] == "the parcel was scanned already"
    assert list((await wishes_recorded(shop, order_id)).values()) == ["already_shipped"]
    async with sessions() as session, session.begin():
        session.add(OrderStep(order_id=order_id, step="cancel_shipment", state="done"))
    assert (await api.post(cancel)).json()["type"] == "/problems/no-running-workflow"


async def scanned(shop: Shop, sessions: Sessions) -> str:
    """An order that no workflow carries on, and whose parcel was scanned."""
    order_id = (await shop.put(await shop.product())).order_id
    async with OrderBook(sessions).locked(order_id) as order:
        for status in (OrderStatus.RESERVED, OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP):
            order.move(status, "for the test")
        order.mark("ship_order", FenceState.DONE)
        shipment = ShipmentRow(order_id=order_id, shipment_id=f"shp_{order_id}", state="bought")
        shipment.parcel_status = "in_transit"
        order.add(shipment)
    return order_id


async def test_the_same_key_again_is_the_same_wish(api: httpx.AsyncClient, shop: Shop, worker: None) -> None:
    """Refused once, however often it is sent; without the key, or for another order, it is another wish."""
    order_id, handle = await ready_to_ship(shop)
    await shop.parcel(order_id, "in_transit")

    answers = [await api.post(f"/api/orders/{order_id}/cancel", headers=KEY) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {409}
    assert len(await wishes_recorded(shop, order_id)) == 1
    await api.post(f"/api/orders/{order_id}/cancel")
    assert len(await wishes_recorded(shop, order_id)) == 2
    await handle.terminate()


async def test_repeats_of_a_wish_that_is_being_decided_share_its_answer(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults
) -> None:
    """A client that repeats itself while the carrier is asked: heard as one wish, answered each time."""
    faults.hold("ship_order")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("ship_order")
    body = {"reason": "too slow"}
    repeats = [
        asyncio.create_task(api.post(f"/api/orders/{order.order_id}/cancel", json=body, headers=KEY))
        for _ in range(5)
    ]

    async def heard() -> bool:
        return bool(await wishes_heard(handle))

    await until(heard, True)
    faults.release("ship_order")
    answers = await asyncio.gather(*repeats)

    assert {answer.json()["accepted"] for answer in answers} == {True}
    assert await handle.result() is OrderStatus.CANCELED
    assert len(set(await wishes_heard(handle))) == 1
    accepted = [row.what for row in await shop.timeline(order.order_id) if row.what.startswith("cancel accepted")]
    assert accepted == ["cancel accepted: too slow"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"], ids=["empty", "long", "space"])
async def test_refuses_a_key_that_is_none(api: httpx.AsyncClient, shop: Shop, key: str) -> None:
    """400, as everywhere, and nothing is recorded."""
    order = await shop.put(await shop.product())

    answer = await api.post(f"/api/orders/{order.order_id}/cancel", headers={"Idempotency-Key": key})

    assert answer.status_code == 400
    assert await wishes_recorded(shop, order.order_id) == {}


async def test_an_order_that_is_over_keeps_its_timeline(
    api: httpx.AsyncClient, shop: Shop, sessions: Sessions
) -> None:
    """REJECTED is refused from the row without a trace, as before."""
    order = await shop.put(await shop.product())
    async with OrderBook(sessions).locked(order.order_id) as locked:
        locked.move(OrderStatus.REJECTED, "for the test")

    answers = [await api.post(f"/api/orders/{order.order_id}/cancel") for _ in range(2)]

    assert {answer.json()["code"] for answer in answers} == {"already_rejected"}
    assert await refusals(shop, order.order_id) == 0
    assert await wishes_recorded(shop, order.order_id) == {}


def test_an_order_has_three_places_for_updates_and_gets_them_back() -> None:
    """A fourth caller takes the other way; another order has places of its own."""
    places = UpdatePlaces()
    with places.take("a") as first, places.take("a") as second, places.take("a") as third:
        with places.take("a") as fourth, places.take("b") as other:
            assert [first, second, third, fourth, other] == [True, True, True, False, True]
        with places.take("a") as again:
            assert not again
    with places.take("a") as later:
        assert later


async def tasks_left(handle: Handle) -> int:
    described = (await handle.describe()).raw_description
    return len(described.pending_activities) + described.HasField("pending_workflow_task")
