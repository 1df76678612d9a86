"""Decisions when nobody is there to carry them out: the workflow is gone, busy, or no worker runs."""

from __future__ import annotations

import httpx
import pytest

from api.app import create_app
from api.repairs import decisions as repair_decisions
from domain.commands import Attention, ParcelStatus
from domain.errors import OurMistake
from domain.order_states import OrderStatus
from services.orders.book import OrderBook
from services.tickets.book import open_ticket
from tests.support.fakes import StepFaults
from tests.support.identities import Anybody
from tests.support.orders import Books, Handle, Shop
from tests.support.repairs import Desk, Ticket
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment


async def stuck_refund(shop: Shop, faults: StepFaults, desk: Desk) -> tuple[str, Handle, Ticket]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    faults.fail("return_payment", OurMistake("the refund is refused"))
    await handle.signal(OrderFulfillment.cancel_order)
    return order.order_id, handle, await desk.called(order.order_id, "step_refused")


@pytest.mark.parametrize(
    ("decision", "paid", "kept"),
    [("retry", "Refunded", 0), ("mark_done", "Refunded", 2000), ("write_off", "Captured", 2000)],
)
async def test_a_decision_about_an_order_without_a_workflow_is_carried_on_by_a_recovery(
    shop: Shop, faults: StepFaults, desk: Desk, decision: str, paid: str, kept: int
) -> None:
    """Terminated while it waited: the books take the decision at once, the recovery undoes the rest."""
    order_id, handle, ticket = await stuck_refund(shop, faults, desk)
    await handle.terminate()

    await desk.settle(ticket, decision)

    await until(lambda: shop.status(order_id), OrderStatus.CANCELED)
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status=paid, on_hand=10, kept=kept)
    assert (await desk.trail(ticket))[1] == (decision, "alice")
    await until(lambda: desk.is_calm(order_id), True)


async def test_a_parcel_is_not_settled_while_nobody_follows_it(shop: Shop, worker: None, desk: Desk) -> None:
    """503: only its workflow can bring the order on; nothing is written before it was recovered."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.FAILURE)
    ticket = await desk.called(order.order_id, "parcel_failure")
    await handle.terminate()

    answer = await desk.decide(ticket, "mark_done")

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/no-running-workflow")
    assert await desk.trail(ticket) == [("opened", "saga")]


async def test_says_pending_while_the_running_attempt_is_awaited(
    shop: Shop, faults: StepFaults, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """202: the workflow has the decision and carries it out when the attempt has ended."""
    order_id, handle, ticket = await stuck_refund(shop, faults, desk)
    faults.hold("return_payment")
    await desk.settle(ticket, "retry")
    await faults.arrived("return_payment")
    monkeypatch.setattr(repair_decisions, "PATIENCE", 0.5)

    answer = await desk.decide(ticket, "write_off")

    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["code"]) == (None, "resolution_pending")
    faults.release("return_payment")
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)
    await desk.settled(ticket, ("retry", "alice"), ("closed", "saga"))


async def test_refuses_while_no_worker_runs(shop: Shop, desk: Desk) -> None:
    """503: a decision that no worker has taken would be lost with the engine's memory."""
    order = await shop.put(await shop.product())
    await shop.start(order)
    ticket = await _by_hand(shop, desk, order.order_id)
    impatient = create_app(shop.settings.model_copy(update={"checkout_budget": 0.5}))
    transport = httpx.ASGITransport(impatient)
    async with (
        impatient.router.lifespan_context(impatient),
        httpx.AsyncClient(transport=transport, base_url="http://api.test", auth=Anybody()) as client,
    ):
        answer = await Desk(client).decide(ticket, "retry")

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/engine-away")
    assert await desk.trail(ticket) == [("opened", "saga")]


async def _by_hand(shop: Shop, desk: Desk, order_id: str) -> Ticket:
    about = Attention(order_id=order_id, step="return_payment", kind="step_refused", detail="why")
    async with OrderBook(shop.sessions).locked(order_id) as order:
        await open_ticket(order, about)
    return await desk.called(order_id, "step_refused")
