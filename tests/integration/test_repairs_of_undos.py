"""An undo that does not get on: each decision, what it writes, and what goes on then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from adapters.postgres.database import Sessions
from domain.errors import OurMistake
from domain.order_states import OrderStatus
from services.shipping.tables import ShipmentRow
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, Shop
from tests.support.repairs import Desk, Ticket
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment
from workflows.saga import policies


async def canceled(shop: Shop, faults: StepFaults, failing: str, *, waits: bool = False) -> tuple[str, Handle]:
    """A captured order whose cancel gets no further than `failing`, which refuses, or `waits` for its next try."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    if waits:
        faults.let_wait(failing)
    else:
        faults.fail(failing, OurMistake("the far end refuses"))
    await handle.signal(OrderFulfillment.cancel_order)
    return order.order_id, handle


async def told(shop: Shop, order_id: str) -> list[str]:
    return [row.what for row in await shop.timeline(order_id)]


async def test_a_retry_tries_at_once_and_the_ticket_closes_by_itself(
    shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """Instead of five minutes later; the trail says who asked for it and that the saga closed it."""
    order_id, handle = await canceled(shop, faults, "return_payment")
    ticket = await desk.called(order_id, "step_refused")
    assert (await shop.order(order_id)).needs_attention
    assert ticket["lastError"] == "our_mistake: the far end refuses"

    await desk.settle(ticket, "retry", note="Stripe is back")

    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)
    await desk.settled(ticket, ("retry", "alice"), ("closed", "saga"))
    assert not (await shop.order(order_id)).needs_attention
    assert "try again: return_payment (Stripe is back)" in await told(shop, order_id)


@pytest.mark.slow
async def test_a_refund_that_was_paid_by_other_means_counts_as_returned(
    shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """mark_done: our books say Refunded, with the evidence; Stripe is not asked again."""
    order_id, handle = await canceled(shop, faults, "return_payment")
    ticket = await desk.called(order_id, "step_refused")

    await desk.settle(ticket, "mark_done", evidence="bank transfer 4711", note="by hand")

    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10, kept=2000)
    await desk.settled(ticket, ("mark_done", "alice"))
    assert "done by hand: return_payment: bank transfer 4711 (by hand)" in await told(shop, order_id)
    assert [event.type for event in await shop.events(order_id)].count("ordersaga.payment.refunded.v1") == 1


async def test_a_refund_that_is_written_off_leaves_the_payment_as_it_is(
    shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """write_off: the order is undone, and its payment stays Captured, which is the truth."""
    order_id, handle = await canceled(shop, faults, "return_payment")
    ticket = await desk.called(order_id, "step_refused")

    await desk.settle(ticket, "write_off", note="the customer is gone")

    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Captured", on_hand=10, kept=2000)
    await desk.settled(ticket, ("write_off", "alice"))
    assert "written off: return_payment: step_refused (the customer is gone)" in await told(shop, order_id)


@pytest.mark.parametrize(("decision", "state"), [("mark_done", "voided"), ("write_off", "bought")])
async def test_a_label_that_cannot_be_voided_is_settled_by_hand(
    shop: Shop, faults: StepFaults, desk: Desk, sessions: Sessions, decision: str, state: str
) -> None:
    """The order is undone and its money goes back; our book of the label says what is true."""
    order_id, handle = await canceled(shop, faults, "cancel_shipment")
    await desk.settle(await desk.called(order_id, "step_refused"), decision)

    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10, labels=1)
    async with sessions() as session:
        assert (await session.get_one(ShipmentRow, order_id)).state == state


@pytest.fixture
async def slow_voids(shop: Shop) -> AsyncIterator[None]:
    """A carrier that confirms no void for an hour."""
    url = f"{shop.stack.urls.carrier}/_control/settings"
    (await shop.http.post(url, json={"refund_delay": 3600})).raise_for_status()
    yield
    (await shop.http.post(url, json={"refund_delay": 0})).raise_for_status()


@pytest.mark.slow
@pytest.mark.parametrize(("decision", "state"), [("mark_done", "voided"), ("write_off", "void_requested")])
async def test_a_void_that_is_never_confirmed_is_settled_by_hand(
    shop: Shop, faults: StepFaults, desk: Desk, sessions: Sessions, slow_voids: None, decision: str, state: str
) -> None:
    """The customer's money does not wait for the carrier any longer."""
    order_id, handle = await canceled(shop, faults, "confirm_void")
    await desk.settle(await desk.called(order_id, "step_refused"), decision)

    assert await handle.result() is OrderStatus.CANCELED
    assert (await shop.books(order_id)).kept == 0
    async with sessions() as session:
        assert (await session.get_one(ShipmentRow, order_id)).state == state


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is called at once."""
    monkeypatch.setattr(policies, "ATTENTION_AFTER", timedelta(seconds=0.5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decision", "kept", "trail"),
    [("retry", 0, [("retry", "alice"), ("closed", "saga")]), ("write_off", 2000, [("write_off", "alice")])],
)
async def test_a_decision_ends_the_engines_own_wait(
    shop: Shop,
    faults: StepFaults,
    desk: Desk,
    impatient: None,
    decision: str,
    kept: int,
    trail: list[tuple[str, str]],
) -> None:
    """The undo is still retried, in an hour: it begins anew at once."""
    order_id, handle = await canceled(shop, faults, "return_payment", waits=True)
    ticket = await desk.called(order_id, "step_keeps_failing", "return_payment")
    assert ticket["lastError"].startswith("away")

    await desk.settle(ticket, decision)

    assert await handle.result() is OrderStatus.CANCELED
    assert (await shop.books(order_id)).kept == kept
    await desk.settled(ticket, *trail)


async def test_a_forward_step_is_retried_at_once_and_nothing_else(
    shop: Shop, faults: StepFaults, desk: Desk, impatient: None
) -> None:
    """Whether a capture has taken effect is unknown while it is tried: nobody can say that it was done."""
    faults.let_wait("capture_payment", short=True)
    order = await shop.put(await shop.product())
    await shop.start(order)
    ticket = await desk.called(order.order_id, "step_keeps_failing", "capture_payment")
    refused = await desk.decide(ticket, "mark_done")
    assert (refused.status_code, refused.json()["code"]) == (409, "decision_not_possible")
    assert refused.json()["possible"] == ["retry"]

    await desk.settle(ticket, "retry")

    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await desk.settled(ticket, ("retry", "alice"), ("closed", "saga"))
    assert await shop.authorizations(order.order_id) == 1


async def test_one_of_two_operators_wins_and_the_other_is_told(shop: Shop, faults: StepFaults, desk: Desk) -> None:
    """Both decide at once: one decision is carried out and stands in the trail."""
    order_id, handle = await canceled(shop, faults, "return_payment")
    ticket = await desk.called(order_id, "step_refused")

    answers = await asyncio.gather(
        desk.decide(ticket, "mark_done", by="alice"), desk.decide(ticket, "write_off", by="bob")
    )

    (lost,) = (answer for answer in answers if answer.status_code != 200)
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert lost.json()["code"] == "ticket_resolved"
    assert await handle.result() is OrderStatus.CANCELED
    assert len(await desk.trail(ticket)) == 2


async def test_a_decision_comes_too_late_for_a_step_that_succeeds_by_itself(
    shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """The attempt that is under way is awaited: it pays back, and the write-off is refused."""
    order_id, handle = await canceled(shop, faults, "return_payment")
    ticket: Ticket = await desk.called(order_id, "step_refused")
    faults.hold("return_payment")
    await desk.settle(ticket, "retry")
    await faults.arrived("return_payment")
    deciding = asyncio.create_task(desk.decide(ticket, "write_off", by="bob"))
    await until(lambda: updates_accepted(handle), 2)
    faults.release("return_payment")

    answer = await deciding
    assert (answer.status_code, answer.json()["code"]) == (409, "ticket_resolved")
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)


async def updates_accepted(handle: Handle) -> int:
    history = await handle.fetch_history()
    return sum(event.HasField("workflow_execution_update_accepted_event_attributes") for event in history.events)
