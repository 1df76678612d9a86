"""Every answer of a carrier to the wish to void a label, step by step, and what our books say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlmodel import select

from activities.shipping.labels import Shipping, VoidRules
from domain.commands import ParcelStatus
from domain.errors import OurMistake, TryAgain
from domain.parcels import FIRST_VOID_LOOK, LAST_VOID_LOOK
from domain.steps import FenceState
from domain.void_commands import ConfirmVoid, VoidedShipment, VoidOutcome
from services.orders.book import OrderBook
from services.shipping.book import note_parcel, shipment_of
from services.shipping.tables import ShipmentRow
from services.tickets.tables import Ticket
from tests.support.held_gateways import LateAttempts
from tests.support.orders import Shop
from tests.support.steps import Steps, run_attempt
from tests.support.voids import LATER, aged, carrier_decides, usual_carrier

VOIDED = VoidedShipment(outcome=VoidOutcome.VOIDED)
SCANNED = VoidedShipment(outcome=VoidOutcome.SCANNED)
REQUESTED = VoidedShipment(outcome=VoidOutcome.REQUESTED)
HELD = "ordersaga.shipment.held.v1"


@pytest.fixture(autouse=True)
async def voids_end(shop: Shop) -> AsyncIterator[None]:
    yield
    await usual_carrier(shop)


async def labeled(shop: Shop, steps: Steps) -> str:
    order_id = (await shop.put(await shop.product())).order_id
    await steps.reach("ship_order", order_id)
    return order_id


async def shipment(shop: Shop, order_id: str) -> ShipmentRow:
    async with shop.sessions() as session:
        return await session.get_one(ShipmentRow, order_id)


async def notes(shop: Shop, order_id: str) -> list[str]:
    """The timeline's rows since the label was bought."""
    return [row.what for row in await shop.timeline(order_id)][4:]


async def held(shop: Shop, order_id: str) -> int:
    """How often the warehouse was told to keep the parcel here."""
    return [event.type for event in await shop.events(order_id)].count(HELD)


async def tickets(shop: Shop, order_id: str) -> list[str]:
    async with shop.sessions() as session:
        return list(await session.exec(select(Ticket.kind).where(Ticket.order_id == order_id)))


async def ask_carrier_for_void(shop: Shop, order_id: str) -> None:
    """As an attempt does whose worker dies before it learns of the answer."""
    key = shop.settings.carrier_api_key.get_secret_value()
    url = f"{shop.stack.urls.carrier}/v2/shipments/{await shop.shipment_id(order_id)}/refund"
    (await shop.http.post(url, auth=(key, ""))).raise_for_status()


async def confirm(steps: Steps, order_id: str) -> VoidedShipment:
    answer: VoidedShipment = await steps.run_with("confirm_void", ConfirmVoid(order_id=order_id, answers=True))
    return answer


# when a cancel is decided


async def test_a_label_that_costs_nothing_until_it_is_scanned_is_void_at_once(shop: Shop, steps: Steps) -> None:
    """not_applicable: nothing was paid, so nothing comes back, and the warehouse keeps the parcel."""
    await shop.carrier(refund_status="not_applicable")
    order_id = await labeled(shop, steps)
    assert [await steps.run("cancel_shipment", order_id) for _ in range(2)] == [VOIDED, VOIDED]
    assert (await shipment(shop, order_id)).state == "voided"
    assert await notes(shop, order_id) == ["label voided: the carrier bills on scan, nothing was paid"]
    assert await held(shop, order_id) == 1


@pytest.mark.parametrize("status", ["in_transit", "available_for_pickup"])
async def test_a_parcel_on_its_way_is_not_called_back_by_a_carrier_that_bills_on_scan(
    shop: Shop, steps: Steps, status: str
) -> None:
    """Scanned, and the wish to void it was answered with not_applicable: it goes to its customer."""
    await shop.carrier(refund_status="not_applicable")
    order_id = await labeled(shop, steps)
    await ask_carrier_for_void(shop, order_id)
    await shop.parcel(order_id, status)
    assert await steps.run("cancel_shipment", order_id) == SCANNED
    row = await shipment(shop, order_id)
    assert (row.state, row.parcel_status, await held(shop, order_id)) == ("bought", status, 0)


async def test_a_void_that_was_rejected_is_asked_for_again_and_nothing_is_undone_meanwhile(
    shop: Shop, steps: Steps
) -> None:
    """Carriers reject by mistake soon after the purchase; the parcel may also have left unseen."""
    await shop.carrier(refund_status="rejected")
    order_id = await labeled(shop, steps)
    for asked in (1, 2):
        with pytest.raises(TryAgain, match="neither takes the label back nor has it scanned") as waits:
            await steps.run("cancel_shipment", order_id)
        assert waits.value.delay == FIRST_VOID_LOOK
        assert (await steps.effects("carrier", order_id)).count("void_requested") == asked
    await aged(shop, order_id, timedelta(days=2))
    with pytest.raises(TryAgain) as waits:
        await steps.run("cancel_shipment", order_id)
    assert waits.value.delay == timedelta(minutes=10)  # somebody waits for the decision
    assert await held(shop, order_id) == 0
    await shop.carrier(refund_status="refunded")
    assert await steps.run("cancel_shipment", order_id) == VOIDED
    assert await held(shop, order_id) == 1


async def test_a_rejected_void_of_a_scanned_parcel_refuses_the_cancel(shop: Shop, steps: Steps) -> None:
    """The carrier's reason shows up with the scan."""
    await shop.carrier(refund_status="rejected")
    order_id = await labeled(shop, steps)
    with pytest.raises(TryAgain):
        await steps.run("cancel_shipment", order_id)
    await shop.parcel(order_id, "in_transit")
    assert await steps.run("cancel_shipment", order_id) == SCANNED
    assert (await shipment(shop, order_id)).parcel_status == "in_transit"


async def test_a_parcel_that_is_scanned_before_its_void_is_decided_goes_to_its_customer(
    shop: Shop, steps: Steps
) -> None:
    """The answer to the wish was lost, and the parcel left: nobody was told yet that the cancel is granted."""
    await shop.carrier(refund_delay=LATER)
    order_id = await labeled(shop, steps)
    await ask_carrier_for_void(shop, order_id)
    await shop.parcel(order_id, "in_transit")
    assert await steps.run("cancel_shipment", order_id) == SCANNED


async def test_a_scan_that_the_books_learn_of_after_the_void_takes_nothing_back(shop: Shop, steps: Steps) -> None:
    """Void at the carrier, its answer lost, then scanned, and a webhook wrote so: granted, and a person is called."""
    order_id = await labeled(shop, steps)
    await shop.fault("carrier", "shipments.refund", "after_effect_drop")
    with pytest.raises(TryAgain):
        await steps.run("cancel_shipment", order_id)
    await shop.parcel(order_id, "in_transit")
    async with OrderBook(shop.sessions).locked(order_id) as order:
        row = shipment_of(order)
        assert row is not None and note_parcel(order, row, ParcelStatus.IN_TRANSIT)
    assert await steps.run("cancel_shipment", order_id) == VOIDED
    assert await tickets(shop, order_id) == ["scan_after_void"]


async def test_a_scan_that_the_books_know_refuses_without_asking_the_carrier(shop: Shop, steps: Steps) -> None:
    """The step stays done: whoever looks at it later finds the label."""
    order_id = await labeled(shop, steps)
    await shop.parcel(order_id, "in_transit")
    await steps.run("check_shipment", order_id)
    await shop.fault("carrier", "*", "error_500_unsaved", None)
    assert await steps.run("cancel_shipment", order_id) == SCANNED
    async with OrderBook(shop.sessions).locked(order_id) as order:
        assert order.state_of("ship_order") is FenceState.DONE


# while the carrier decides


async def requested(shop: Shop, steps: Steps) -> str:
    await shop.carrier(refund_delay=LATER)
    order_id = await labeled(shop, steps)
    assert await steps.run("cancel_shipment", order_id) == REQUESTED
    assert await held(shop, order_id) == 1
    return order_id


@pytest.mark.parametrize(
    ("age", "pause", "ticket"),
    [
        (timedelta(0), FIRST_VOID_LOOK, ""),
        (timedelta(days=20), LAST_VOID_LOOK, ""),
        (timedelta(days=21), LAST_VOID_LOOK, "void_pending"),
    ],
)
async def test_a_pending_void_is_looked_at_less_and_less_often(
    shop: Shop, steps: Steps, age: timedelta, pause: timedelta, ticket: str
) -> None:
    """No failure, and nobody is called before the patience is over."""
    order_id = await requested(shop, steps)
    await aged(shop, order_id, age)
    answer = await confirm(steps, order_id)
    assert (answer.outcome, answer.ticket) == (VoidOutcome.REQUESTED, ticket)
    assert answer.look_again_in == pytest.approx(pause, abs=timedelta(seconds=1))
    assert await tickets(shop, order_id) == []  # the order's workflow calls the person


async def test_orders_of_an_older_version_wait_in_the_retries_of_the_engine(shop: Shop, steps: Steps) -> None:
    """They would take an answer for the end of the void."""
    order_id = await requested(shop, steps)
    await aged(shop, order_id, timedelta(hours=1))
    with pytest.raises(TryAgain) as waits:
        await steps.run_with("confirm_void", ConfirmVoid(order_id=order_id))
    assert waits.value.delay == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=1))
    await shop.carrier(refund_status="rejected")
    await carrier_decides(shop)
    with pytest.raises(OurMistake, match="does not take the label back"):
        await steps.run_with("confirm_void", ConfirmVoid(order_id=order_id))


@pytest.mark.parametrize(
    ("decision", "note"),
    [
        ("refunded", "label voided"),
        ("not_applicable", "label voided: the carrier bills on scan, nothing was paid"),
    ],
)
async def test_a_void_is_confirmed_later(shop: Shop, steps: Steps, decision: str, note: str) -> None:
    """The warehouse was told when the wish was accepted, and is not told again."""
    order_id = await requested(shop, steps)
    await shop.carrier(refund_status=decision)
    await carrier_decides(shop)
    assert [await confirm(steps, order_id) for _ in range(2)] == [VOIDED, VOIDED]
    assert await notes(shop, order_id) == ["label: void requested from the carrier", note]
    assert await held(shop, order_id) == 1


async def test_a_void_that_is_rejected_later_needs_a_person_and_is_asked_for_again(shop: Shop, steps: Steps) -> None:
    """Only they can say whether the parcel is still here; the carrier may change its mind first."""
    order_id = await requested(shop, steps)
    await shop.carrier(refund_status="rejected")
    await carrier_decides(shop)
    answer = await confirm(steps, order_id)
    assert (answer.outcome, answer.ticket) == (VoidOutcome.REQUESTED, "void_rejected")
    assert "has not scanned the parcel: is it still here?" in answer.detail
    await shop.carrier(refund_status="refunded")
    assert await confirm(steps, order_id) == VOIDED


async def test_a_parcel_that_leaves_while_its_void_is_pending_reaches_a_person_once(shop: Shop, steps: Steps) -> None:
    """However often it is looked at; and the money waits for the person, since the carrier rejects the void."""
    order_id = await requested(shop, steps)
    await shop.parcel(order_id, "in_transit")
    assert (await confirm(steps, order_id)).ticket == ""
    await carrier_decides(shop)
    answer = await confirm(steps, order_id)
    assert (answer.outcome, answer.ticket) == (VoidOutcome.REQUESTED, "void_rejected")
    assert "has scanned the parcel" in answer.detail
    assert await tickets(shop, order_id) == ["scan_after_void"]


async def test_a_shop_may_give_money_back_once_the_void_is_accepted(
    shop: Shop, steps: Steps, late: LateAttempts
) -> None:
    """By its setting; the saga learns it with the answer."""
    await shop.carrier(refund_delay=LATER)
    order_id = await labeled(shop, steps)
    shipping = Shipping(OrderBook(shop.sessions), late.carrier, VoidRules(money_first=True))
    answer = await run_attempt(shipping.cancel_shipment, order_id)
    assert answer == REQUESTED.model_copy(update={"money_first": True})
