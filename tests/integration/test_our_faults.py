"""Our own faults: nothing that was confirmed is undone, one ticket for the cause, and orders go on by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from adapters.settings import Settings
from domain.errors import BusinessRefusal, OurFault, ParametersDrifted, TryAgain
from domain.order_states import OrderStatus
from domain.repairs import STEP_KEEPS_FAILING
from domain.steps import SHIP
from services.orders.book import LockedOrder, OrderBook
from services.tickets import our_faults
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Shop, undos_run
from tests.support.our_faults import cause_of, ticket_about, tickets_about
from tests.support.repairs import Desk
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

NO_FUNDS = "carrier HTTP 402 PAYMENT_REQUIRED"
NO_MONEY = OurFault("no funds", far_end="carrier", cause=NO_FUNDS)
REFUSED = "Stripe HTTP 400 parameter_unknown"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Tries often, and soon knows that a purchase of a label cannot arrive any more: an undo waits for that."""
    return settings.model_copy(update={"fault_retry": timedelta(seconds=0.2), "carrier_timeout": 3.0})


@pytest.fixture(autouse=True)
async def mended(shop: Shop) -> AsyncIterator[None]:
    yield
    await shop.no_faults()


@pytest.mark.slow
async def test_a_carrier_without_funds_undoes_no_confirmed_order(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient, desk: Desk
) -> None:
    """402 on every purchase: all stay CONFIRMED with one ticket for the cause, and go on when there are funds."""
    await shop.fault("carrier", "shipments.buy", "refuse_402", times=None)
    product = await shop.product()
    placed = [await shop.put(product, quantity=1) for _ in range(5)]
    orders, handles = [order.order_id for order in placed], [await shop.start(order) for order in placed]
    for order_id in orders:
        await until(lambda order_id=order_id: cause_of(shop, order_id), NO_FUNDS)  # type: ignore[misc]
    ticket = await ticket_about(api, NO_FUNDS)
    assert (ticket["step"], ticket["waiting"]["count"]) == ("carrier", 5)
    assert set(ticket["waiting"]["examples"]) == set(orders)
    assert "add funds" in ticket["detail"]
    view = (await api.get(f"/api/orders/{orders[0]}")).json()
    assert (view["status"], view["needsAttention"], view["waitsFor"]) == ("CONFIRMED", True, NO_FUNDS)

    await shop.no_faults()
    for order_id, handle in zip(orders, handles, strict=True):
        await until(lambda order_id=order_id: shop.status(order_id), OrderStatus.READY_TO_SHIP)  # type: ignore[misc]
        assert (await undos_run(handle), await cause_of(shop, order_id)) == ([], "")
        assert await desk.tickets(order_id, "all") == []
    assert await tickets_about(api, NO_FUNDS) == []
    assert await desk.trail(ticket) == [("opened", "carrier"), ("closed", "carrier")]


@pytest.mark.slow
async def test_a_confirmed_order_that_waits_can_be_canceled(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient
) -> None:
    """The customer need not wait for us: the undo meets no fault, and the ticket closes with the last who waited."""
    await shop.fault("carrier", "shipments.buy", "refuse_402", times=None)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: cause_of(shop, order.order_id), NO_FUNDS)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)
    assert (await cause_of(shop, order.order_id), await tickets_about(api, NO_FUNDS)) == ("", [])


async def test_an_undo_waits_for_the_fault_as_well(shop: Shop, faults: StepFaults, api: httpx.AsyncClient) -> None:
    """The void is refused with a 4xx that nobody knows: one ticket for the cause, slow retries, done when mended."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.fault("carrier", "shipments.refund", "refuse_400", times=None, code="ACCOUNT.CLOSED")
    await handle.signal(OrderFulfillment.cancel_order)
    cause = "carrier HTTP 400 ACCOUNT.CLOSED"
    await until(lambda: cause_of(shop, order.order_id), cause)
    assert (await ticket_about(api, cause))["waiting"]["count"] == 1
    await shop.no_faults()
    assert await handle.result() is OrderStatus.CANCELED
    assert (await cause_of(shop, order.order_id), await tickets_about(api, cause)) == ("", [])


async def test_our_mistake_about_a_confirmed_order_waits_for_a_person(
    shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """Drifted parameters at the capture: a ticket of the order's own, nothing undone, and a retry ends it."""
    faults.fail("capture_payment", ParametersDrifted("an idempotency key was used with other parameters"), times=2)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    ticket = await desk.called(order.order_id, "step_refused", "capture_payment")
    assert await shop.status(order.order_id) == OrderStatus.CONFIRMED
    await desk.settle(ticket, "retry")
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await desk.settled(ticket, ("retry", "alice"), ("closed", "saga"))
    assert await undos_run(handle) == []


async def test_an_order_that_waits_for_a_person_after_our_mistake_can_be_canceled(
    shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """The pause before the next try ends at once; the ticket goes with it."""
    faults.fail("capture_payment", ParametersDrifted("an idempotency key was used with other parameters"), times=2)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    ticket = await desk.called(order.order_id, "step_refused", "capture_payment")
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Voided", on_hand=10)
    await desk.settled(ticket, ("closed", "saga"))
    assert await desk.is_calm(order.order_id)


async def test_a_business_refusal_ends_the_wait_and_the_order(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient
) -> None:
    """Behind a mended fault the address turns out to be wrong: that is an answer, and is undone as ever."""
    faults.fail("ship_order", BusinessRefusal("address_refused", "no such street"))
    faults.fail("ship_order", NO_MONEY)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.CANCELED
    assert (await cause_of(shop, order.order_id), await tickets_about(api, NO_FUNDS)) == ("", [])


async def test_an_order_that_fails_for_another_reason_since_reaches_a_person(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient, desk: Desk
) -> None:
    """Its call was answered with the ticket of a cause that is over: now it gets one of its own, until it gets on."""
    faults.hold("ship_order")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("ship_order")
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        await our_faults.wait(locked, SHIP, OurFault("400", far_end="carrier", cause="carrier HTTP 400"))
        assert await our_faults.ticket_instead(locked, SHIP) is not None
        await our_faults.wait(locked, SHIP, NO_MONEY)  # one fault after the other
    assert await tickets_about(api, "carrier HTTP 400") == []
    assert await desk.is_calm(order.order_id)
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        await our_faults.fails_otherwise(locked)
    assert await desk.kinds(order.order_id) == [STEP_KEEPS_FAILING]
    assert (await cause_of(shop, order.order_id), await tickets_about(api, NO_FUNDS)) == ("", [])
    faults.release("ship_order")
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.terminate()


async def test_the_last_ones_to_go_on_close_the_ticket_whichever_they_are(shop: Shop, api: httpx.AsyncClient) -> None:
    """All at the same moment: none may take another one for somebody who still waits."""
    product = await shop.product()
    orders = [(await shop.put(product, quantity=1)).order_id for _ in range(6)]
    for _ in range(5):
        await asyncio.gather(*(note(shop, one, lambda o: our_faults.wait(o, SHIP, NO_MONEY)) for one in orders))
        assert (await ticket_about(api, NO_FUNDS))["waiting"]["count"] == 6
        await asyncio.gather(*(note(shop, one, our_faults.go_on) for one in orders))
        assert await tickets_about(api, NO_FUNDS) == []


async def note(shop: Shop, order_id: str, what: Callable[[LockedOrder], Awaitable[None]]) -> None:
    async with OrderBook(shop.sessions).locked(order_id) as order:
        await what(order)


async def test_a_ticket_that_was_closed_by_hand_too_early_opens_again(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient, desk: Desk
) -> None:
    """Somebody says that it is mended, and it is not: no order waits without a ticket."""
    await shop.fault("carrier", "shipments.buy", "refuse_402", times=None)
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: cause_of(shop, order.order_id), NO_FUNDS)
    first = await ticket_about(api, NO_FUNDS)
    await desk.settle(first, "mark_done", evidence="invoice 4711")

    async def another() -> bool:
        return await tickets_about(api, NO_FUNDS) not in ([], [first["ticketId"]])

    await until(another, True)
    await shop.no_faults()
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert await tickets_about(api, NO_FUNDS) == []


async def body(shop: Shop) -> dict[str, Any]:
    return {
        "customerId": await shop.customer(),
        "items": [{"productId": await shop.product(), "quantity": 2}],
        "paymentMethod": "pm_card_visa",
    }


async def test_a_checkout_that_a_fault_of_ours_holds_up_is_told_so_and_has_its_outcome_later(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient
) -> None:
    """400 at Stripe's create: 503 with a link early; the same key later is 201, one charge."""
    await shop.fault("stripe", "payment_intents.create", "refuse_400", times=None, code="parameter_unknown")
    wanted, key = await body(shop), {"Idempotency-Key": "held-up"}
    held = await api.post("/api/orders", json=wanted, headers=key)
    assert held.status_code == 503, held.text
    problem = held.json()
    assert (problem["code"], problem["orderStatus"]) == ("temporarily_unavailable", "RESERVED")
    assert int(held.headers["Retry-After"]) > 0
    order_id = problem["orderId"]
    assert held.headers["Location"] == problem["links"]["self"]
    again = await api.post("/api/orders", json=wanted, headers=key)
    assert (again.status_code, again.json()["orderId"]) == (503, order_id)
    assert (await ticket_about(api, REFUSED))["waiting"]["examples"] == [order_id]

    await shop.no_faults()
    await until(lambda: cause_of(shop, order_id), "")
    outcome = await api.post("/api/orders", json=wanted, headers=key)
    assert (outcome.status_code, outcome.json()["orderId"]) == (201, order_id)
    assert await shop.authorizations(order_id) == 1
    assert await tickets_about(api, REFUSED) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "nonsense",
    ["html", "types", pytest.param("empty", marks=pytest.mark.long), pytest.param("list", marks=pytest.mark.long)],
)
async def test_nonsense_of_both_far_ends_loses_nothing(shop: Shop, faults: StepFaults, nonsense: str) -> None:
    """A proxy's page, JSON without an id: an outcome that is not known, which is settled as any other."""
    for operation in ("payment_intents.create", "payment_intents.confirm", "payment_intents.capture"):
        await shop.fault("stripe", operation, "nonsense", code=nonsense)
    for operation in ("shipments.create", "shipments.buy"):
        await shop.fault("carrier", operation, "nonsense", code=nonsense)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert await shop.books(order.order_id) == Books(
        status="READY_TO_SHIP", payment_status="Captured", on_hand=10, reserved=2, kept=2000, labels=1
    )
    assert (await undos_run(handle), await shop.authorizations(order.order_id)) == ([], 1)
    await handle.terminate()


async def test_an_order_that_never_waited_pays_nothing_for_it(shop: Shop, faults: StepFaults) -> None:
    """A transient error is retried as ever, and leaves no trace of a wait."""
    faults.fail("ship_order", TryAgain("503"))
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert await cause_of(shop, order.order_id) == ""
    await handle.terminate()
