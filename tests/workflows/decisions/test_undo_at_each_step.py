"""Each step k fails: what was done is undone, newest first, and every book is back where it was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.errors import BusinessRefusal, CaptureRefused, ShipmentRefused, TryAgain
from domain.order_states import OrderStatus
from tests.support.any_shop import AnyShop
from tests.support.fakes import StepFaults
from tests.support.orders import Books, undos_run
from tests.support.waiting import until


async def test_out_of_stock_rejects_the_order_and_holds_nothing(shop: AnyShop, worker: None) -> None:
    """Step 1 refuses: its own undo runs, for nothing, and nothing was asked of Stripe."""
    order = await shop.put(await shop.product(on_hand=1), quantity=2)
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.REJECTED
    assert await undos_run(handle) == ["release_inventory"]
    assert await shop.books(order.order_id) == Books(status="REJECTED", payment_status="Pending", on_hand=1)
    refusal = (await shop.order(order.order_id)).refusal
    assert refusal is not None and refusal["code"] == "out_of_stock"


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ],
)
async def test_releases_stock_when_card_is_declined(shop: AnyShop, worker: None, method: str, code: str) -> None:
    """Step 2 refuses: payment looked after first, then the stock goes back."""
    order = await shop.put(await shop.product(), payment_method=method)
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.REJECTED
    assert await undos_run(handle) == ["return_payment", "release_inventory"]
    assert await shop.books(order.order_id) == Books(status="REJECTED", payment_status="Failed", on_hand=10)
    refusal = (await shop.order(order.order_id)).refusal
    assert refusal is not None and refusal["code"] == code


async def test_voids_payment_when_the_address_is_refused(shop: AnyShop, worker: None) -> None:
    """Step 3 refuses, by the carrier's own word: the confirmed order is canceled by the saga."""
    address = {"street1": "1 UNDELIVERABLE Road", "city": "Nowhere", "zip": "00000", "country": "US"}
    order = await shop.put(await shop.product(), address=address)
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == ["cancel_shipment", "return_payment", "release_inventory"]
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)


async def test_voids_label_when_the_capture_is_refused(shop: AnyShop, faults: StepFaults) -> None:
    """Step 4 refuses: the label that was bought goes back first."""
    faults.fail("capture_payment", CaptureRefused("authorization_gone", "expired"))
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await undos_run(handle) == ["cancel_shipment", "return_payment", "release_inventory"]
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)


@pytest.mark.parametrize(
    ("step", "undos", "end"),
    [
        ("reserve_inventory", ["return_payment", "release_inventory"], "REJECTED"),
        ("authorize_payment", ["return_payment", "release_inventory"], "CANCELED"),  # it was confirmed
        ("ship_order", ["cancel_shipment", "return_payment", "release_inventory"], "CANCELED"),
        ("capture_payment", ["cancel_shipment", "return_payment", "release_inventory"], "CANCELED"),
    ],
)
async def test_undoes_a_step_whose_answer_was_lost(
    shop: AnyShop, faults: StepFaults, step: str, undos: list[str], end: str
) -> None:
    """Step k took effect and was refused all the same: its own undo was registered before it, so nothing is left."""
    faults.fail(step, BusinessRefusal("refused", "the answer was lost"), after=True)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    assert (await handle.result()).value == end
    assert await undos_run(handle) == undos
    books = await shop.books(order.order_id)
    assert (books.on_hand, books.reserved, books.held, books.kept, books.labels) == (10, 0, 0, 0, 0)


@pytest.mark.parametrize("step", ["reserve_inventory", "authorize_payment"])
async def test_a_failed_local_attempt_is_repeated_as_an_ordinary_activity(
    shop: AnyShop, faults: StepFaults, step: str
) -> None:
    """Local first: the second attempt is an activity that people can see, and the order goes on."""
    faults.fail(step, TryAgain("lock timeout"), times=2)
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert faults.calls.count(step) == 3
    assert await shop.authorizations(order.order_id) == 1


async def test_an_undo_is_repeated_until_it_is_done(shop: AnyShop, faults: StepFaults) -> None:
    """An undo has no attempt cap: it is retried until the money is back."""
    faults.fail("ship_order", ShipmentRefused("address_refused", "no such street"))
    faults.fail("return_payment", TryAgain("Stripe is away", delay=timedelta(milliseconds=50)), times=8)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.CANCELED
    assert faults.calls.count("return_payment") == 9
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)
