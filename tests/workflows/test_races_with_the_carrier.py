"""A scan, a void and a capture at the same time, and a line that is dropped meanwhile: both orders, forced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from _pytest.mark import ParameterSet
from sqlmodel import select

from adapters.clock import now
from adapters.postgres.database import Sessions
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from services.inventory.tables import Stock
from services.tickets.tables import Ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, Shop, undos_run
from tests.support.races import ARRIVALS, FORMS, Scene, cancel, canceled, capture_refused, started, told
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from workflows.order_fulfillment import OrderFulfillment

BEFORE, AFTER = ARRIVALS
ANSWER_TIME = 60  # seconds; a decision that waits for a person takes minutes

arrivals = pytest.mark.parametrize("arrival", ARRIVALS)


def first(form: str) -> pytest.MarkDecorator:
    """One form in the suite, the others with `make proof`: all are decided alike, as the table of races shows."""
    marks = {one: () if one == form else (pytest.mark.long,) for one in FORMS}
    return pytest.mark.parametrize("form", [pytest.param(one, marks=mark) for one, mark in marks.items()])


def undos_in_turn() -> Iterator[ParameterSet]:
    """Each undo with one arrival in the suite, in turn, with the other one with `make proof`."""
    for number, step in enumerate(("return_payment", "release_inventory", "close_order")):
        for index, arrival in enumerate(ARRIVALS):
            marks = () if index == number % len(ARRIVALS) else (pytest.mark.long,)
            yield pytest.param(arrival, step, id=f"{arrival}-{step}", marks=marks)


@pytest.fixture
def carrier(shop: Shop, hooks: Hooks, sessions: Sessions) -> Carrier:
    return Carrier(shop, hooks, sessions)


class Carrier:
    """Scans parcels and tells so by webhook; the repair desk hears of what should not be."""

    def __init__(self, shop: Shop, hooks: Hooks, sessions: Sessions) -> None:
        self._shop, self._hooks, self._sessions = shop, hooks, sessions

    async def scans(self, order_id: str) -> None:
        """Comes back when the news has reached whom it may concern."""
        await self._shop.parcel(order_id, "in_transit")
        answer = await self._hooks.carrier(await self._shop.shipment_id(order_id))
        await self._hooks.processed(answer, "carrier")

    async def tickets(self, order_id: str) -> list[str]:
        async with self._sessions() as session:
            tickets = await session.exec(select(Ticket).where(Ticket.order_id == order_id))
            return [ticket.kind for ticket in tickets if ticket.resolved_at is None]


async def ready(scene: Scene) -> tuple[str, Handle]:
    order = await scene.order()
    handle = await scene.reach(order, OrderStatus.READY_TO_SHIP)
    scene.hold()
    return order.order_id, handle


async def delivered(shop: Shop, order_id: str, handle: Handle) -> None:
    """Captured once, never undone: the order goes on as if nobody had asked."""
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    assert await shop.books(order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )


# scan against void -------------------------------------------------------------------------------------------------


@first("update")
async def test_a_scan_before_the_void_refuses_the_cancel(
    shop: Shop, faults: StepFaults, carrier: Carrier, form: str
) -> None:
    """The carrier refuses the void; who asked hears that the parcel has left, and the order goes on."""
    scene = Scene(shop, faults, "cancel_shipment", BEFORE)
    order_id, handle = await ready(scene)
    asked = await cancel(handle, form)
    await scene.held()
    await carrier.scans(order_id)
    faults.release("cancel_shipment")
    if asked:
        answer = await asked.result()
        assert (answer.accepted, answer.code) == (False, "already_shipped")
    refused = ["cancel requested, the carrier decides", "cancel refused: already_shipped"]
    await until(lambda: told(shop, order_id, form), refused)
    await delivered(shop, order_id, handle)


@first("native")
async def test_a_scan_behind_the_void_calls_a_person(
    shop: Shop, faults: StepFaults, carrier: Carrier, form: str
) -> None:
    """The label is void at the carrier and the saga does not know yet: the cancel is granted, a ticket tells."""
    scene = Scene(shop, faults, "cancel_shipment", AFTER)
    order_id, handle = await ready(scene)
    asked = await cancel(handle, form)
    await scene.held()
    await carrier.scans(order_id)
    faults.release("cancel_shipment")
    if asked:
        answer = await asked.result()
        assert (answer.accepted, answer.code) == (True, "label_voided")
    await until(lambda: shop.status(order_id), OrderStatus.CANCELED)
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)
    await until(lambda: carrier.tickets(order_id), ["scan_after_void"])


@pytest.mark.parametrize(("arrival", "step"), list(undos_in_turn()))
async def test_a_scan_during_the_undo_calls_a_person(
    shop: Shop, faults: StepFaults, carrier: Carrier, arrival: str, step: str
) -> None:
    """The order is CANCELING, its label void: it is undone to the end, and a person looks for the parcel."""
    order_id, handle = await canceled(OrderStatus.READY_TO_SHIP)(Scene(shop, faults, step, arrival))
    await carrier.scans(order_id)
    faults.release(step)
    assert await handle.result() is OrderStatus.CANCELED
    assert await carrier.tickets(order_id) == ["scan_after_void"]
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)


# scan against capture ----------------------------------------------------------------------------------------------


@arrivals
async def test_a_scan_during_the_capture_is_kept(
    shop: Shop, faults: StepFaults, carrier: Carrier, arrival: str
) -> None:
    """The parcel left early: the capture goes on, and the order is SHIPPED without any further news."""
    order_id, handle = await started()(Scene(shop, faults, "capture_payment", arrival))
    await carrier.scans(order_id)
    faults.release("capture_payment")
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await delivered(shop, order_id, handle)
    assert await undos_run(handle) == []


@arrivals
async def test_a_capture_that_is_refused_after_the_scan_is_never_undone(
    shop: Shop, faults: StepFaults, carrier: Carrier, arrival: str
) -> None:
    """The money is gone and the parcel too: the order stays as it is, and a person is called."""
    order_id, handle = await capture_refused(Scene(shop, faults, "capture_payment", arrival))
    await carrier.scans(order_id)
    faults.release("capture_payment")
    await until(lambda: carrier.tickets(order_id), ["refused_after_scan"])
    assert await undos_run(handle) == ["cancel_shipment"]
    assert await shop.books(order_id) == Books(
        status="CONFIRMED", payment_status="Authorized", on_hand=10, reserved=2, labels=1
    )
    await handle.terminate()


@arrivals
async def test_a_scan_meets_the_void_of_a_refused_capture(
    shop: Shop, faults: StepFaults, carrier: Carrier, arrival: str
) -> None:
    """Scanned first: nothing is undone. Voided first: all is. A person is called either way."""
    scene = Scene(shop, faults, "cancel_shipment", arrival)
    order = await scene.order()
    faults.before("capture_payment", lambda: shop.bank_lets_go(order.order_id))
    scene.hold()
    handle = await shop.start(order)
    await scene.held()
    await carrier.scans(order.order_id)
    faults.release("cancel_shipment")
    if arrival == BEFORE:
        await until(lambda: carrier.tickets(order.order_id), ["refused_after_scan"])
        assert await shop.books(order.order_id) == Books(
            status="CONFIRMED", payment_status="Authorized", on_hand=10, reserved=2, labels=1
        )
        await handle.terminate()
    else:
        assert await handle.result() is OrderStatus.CANCELED
        assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)
        await until(lambda: carrier.tickets(order.order_id), ["scan_after_void"])


@first("signal")
async def test_a_cancel_is_refused_at_once_while_a_person_looks_at_a_refused_capture(
    shop: Shop, faults: StepFaults, carrier: Carrier, form: str
) -> None:
    """The parcel has left: who cancels now hears so, and does not wait for the person."""
    order_id, handle = await capture_refused(Scene(shop, faults, "capture_payment", AFTER))
    await carrier.scans(order_id)
    faults.release("capture_payment")
    await until(lambda: carrier.tickets(order_id), ["refused_after_scan"])
    asked = await cancel(handle, form)
    if asked:
        answer = await asyncio.wait_for(asked.result(), ANSWER_TIME)
        assert (answer.accepted, answer.code) == (False, "already_shipped")
    await until(lambda: told(shop, order_id, form), ["cancel refused: already_shipped"], ANSWER_TIME)
    assert await shop.books(order_id) == Books(
        status="CONFIRMED", payment_status="Authorized", on_hand=10, reserved=2, labels=1
    )
    await handle.terminate()


# a dropped line against a cancel -----------------------------------------------------------------------------------


@first("update")
@arrivals
async def test_a_dropped_line_meets_a_cancel(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults, arrival: str, form: str
) -> None:
    """Dropped before the cancel is written down, refused behind it; each line's stock goes back once."""
    lamp, vase = await shop.product(), await shop.product()
    items = [{"productId": lamp, "quantity": 2}, {"productId": vase, "quantity": 1}]
    later = (now() + timedelta(days=1)).isoformat()
    body = {"customerId": await shop.customer(), "items": items, "paymentMethod": "card", "shipNotBefore": later}
    order_id = (await api.post("/api/orders", json=body)).json()["orderId"]
    handle = shop.client.get_workflow_handle(f"order-{order_id}", result_type=OrderStatus)
    scene = Scene(shop, faults, "record_cancel_request", arrival)
    scene.hold()
    await cancel(handle, form)
    await scene.held()
    dropped = await api.post(f"/api/orders/{order_id}/lines/{vase}/drop", json={"reason": "broken"})
    faults.release("record_cancel_request")
    assert dropped.status_code == (200 if arrival == BEFORE else 409), dropped.text
    await until(lambda: shop.status(order_id), OrderStatus.CANCELED)
    async with shop.sessions() as session:
        stocks = [await session.get_one(Stock, product) for product in (lamp, vase)]
    assert [(stock.on_hand, stock.reserved) for stock in stocks] == [(10, 0), (10, 0)]
    assert await shop.money(order_id) == (0, 0)
