"""The undo's refund is on its way for days, or fails: who is called, what is tried again, and what never is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.clock import now
from domain.commands import Attention
from domain.errors import OnItsWay, ReturnRefused, TryAgain
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from services.orders.book import OrderBook
from services.payments import undo_waits
from services.payments.undo_waits import FIRST_LOOK, LAST_LOOK, PATIENCE, WAIT, is_on_its_way, note_wait
from services.repairs.decisions import resolve
from services.tickets.book import open_ticket
from services.tickets.tables import Ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Shop, steps_run
from tests.support.refunds import RefundSteps
from tests.support.repairs import Desk
from tests.support.steps import Steps
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from worker import Activities
from workflows.order_fulfillment import OrderFulfillment
from workflows.saga import policies


async def bank_says(shop: Shop, order_id: str, status: str) -> None:
    """Of the payment's newest refund."""
    intent = (await shop.payment_intent(order_id))["id"]
    newest = (await shop.at_stripe("GET", f"refunds?payment_intent={intent}"))["data"][0]
    url = f"{shop.stack.urls.stripe}/_control/refunds/{newest['id']}"
    (await shop.http.post(url, json={"status": status})).raise_for_status()


async def test_a_refund_on_its_way_calls_nobody(
    shop: Shop, refunds: RefundSteps, desk: Desk, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch asks whether a person is needed, and again later: no ticket in the first days."""
    monkeypatch.setattr(policies, "ATTENTION_AFTER", timedelta(milliseconds=50))
    monkeypatch.setattr(policies, "LOOK_AGAIN_AFTER", timedelta(milliseconds=200))
    monkeypatch.setattr(undo_waits, "FIRST_LOOK", timedelta(seconds=1))
    await refunds.stripe_answers("pending")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        await note_wait(locked)  # whichever is faster, the first look or who asks for it
    await handle.signal(OrderFulfillment.cancel_order)

    async def asked() -> bool:
        steps = await steps_run(handle)
        return "return_payment" in steps and steps[steps.index("return_payment") :].count("open_ticket") >= 2

    async def called() -> list[str]:
        tickets = await desk.tickets(order.order_id, status="all")
        return [ticket["kind"] for ticket in tickets if ticket["step"] == "return_payment"]

    await until(asked, True)
    assert await called() == []
    await bank_says(shop, order.order_id, "succeeded")
    assert await handle.result() is OrderStatus.CANCELED
    assert (await shop.books(order.order_id)).kept == 0
    assert await called() == []


async def test_a_bank_that_takes_too_long_is_looked_at_by_a_person(shop: Shop, activities: Activities) -> None:
    """After ten days, and where the last look is not of today: then something else is in the way."""
    order = await shop.put(await shop.product())
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        assert not is_on_its_way(locked, "return_payment")
        assert await note_wait(locked) == FIRST_LOOK
        assert is_on_its_way(locked, "return_payment") and not is_on_its_way(locked, "capture_payment")
        fence = locked.fence(WAIT)
        assert fence is not None
        for age, on_its_way, pause in (
            (timedelta(hours=1), True, timedelta(hours=1)),
            (PATIENCE - timedelta(hours=1), True, LAST_LOOK),
            (PATIENCE + timedelta(hours=1), False, LAST_LOOK),
        ):
            fence.result = {"since": (now() - age).isoformat()}
            assert abs(await note_wait(locked) - pause) < timedelta(seconds=5)
            assert is_on_its_way(locked, "return_payment") == on_its_way
        fence.result, fence.updated_at = {"since": now().isoformat()}, now() - timedelta(days=1)
        assert not is_on_its_way(locked, "return_payment")


async def retry(shop: Shop, order_id: str) -> None:
    """A person's decision about the return, as the desk writes it down."""
    about = Attention(order_id=order_id, step="return_payment", kind="step_refused", detail="refund_failed")
    async with OrderBook(shop.sessions).locked(order_id) as order:
        ticket = await order.session.get_one(Ticket, await open_ticket(order, about))
        wanted = Resolution(ticket_id=ticket.id or 0, decision=RepairDecision.RETRY, by="alice")
        assert (await resolve(order, ticket, wanted)).accepted


@pytest.mark.parametrize("fault", ["", "after_effect_drop", "error_500_saved", "error_500_unsaved"])
async def test_a_refund_that_failed_is_sent_again_when_a_person_says_so(
    shop: Shop, refunds: RefundSteps, steps: Steps, fault: str
) -> None:
    """And only then; however the answer of the second one is lost, there is one of it."""
    order_id = await refunds.captured()
    await refunds.stripe_answers("failed")
    with pytest.raises(TryAgain):
        await steps.run("return_payment", order_id)
    for _ in range(2):
        with pytest.raises(ReturnRefused, match="failed"):
            await steps.run("return_payment", order_id)
    assert await steps.effects("stripe", order_id) == ["authorize", "capture", "refund", "refund_failed"]

    await refunds.stripe_answers("succeeded")
    await retry(shop, order_id)
    if fault:
        await shop.fault("stripe", "refunds.create", fault)
        with pytest.raises(TryAgain):
            await steps.run("return_payment", order_id)
    await steps.insist("return_payment", order_id)
    assert (await steps.effects("stripe", order_id)).count("refund") == 2
    assert await refunds.given(order_id) == 2000
    assert (await shop.order(order_id)).payment_status == "Refunded"


async def test_one_decision_sends_one_refund(shop: Shop, refunds: RefundSteps, steps: Steps) -> None:
    """The second one fails as well: a person is asked again."""
    order_id = await refunds.captured()
    await refunds.stripe_answers("failed")
    for sent in (1, 2, 3):
        with pytest.raises(TryAgain):
            await steps.run("return_payment", order_id)
        with pytest.raises(ReturnRefused):
            await steps.run("return_payment", order_id)
        assert (await steps.effects("stripe", order_id)).count("refund") == sent
        await retry(shop, order_id)


async def test_a_goodwill_refund_that_failed_does_not_stand_in_the_way_of_a_return(
    shop: Shop, refunds: RefundSteps, steps: Steps
) -> None:
    """It is another refund: the cancel gives back everything, that part as well."""
    order_id = await refunds.captured()
    refund = await refunds.put(order_id)
    await refunds.stripe_answers("failed")
    await refunds.send(refund)
    await refunds.stripe_answers("succeeded")
    await steps.run("return_payment", order_id)
    assert await refunds.given(order_id) == 2000


async def test_a_return_waits_for_its_bank_with_a_code_of_its_own(
    shop: Shop, refunds: RefundSteps, steps: Steps
) -> None:
    """So that alerts can tell it from a failing undo."""
    order_id = await refunds.captured()
    await refunds.stripe_answers("pending")
    with pytest.raises(OnItsWay) as waits:
        await steps.run("return_payment", order_id)
    assert (waits.value.code, waits.value.delay) == ("on_its_way", FIRST_LOOK)


async def test_a_refund_that_failed_weeks_later_goes_back_when_a_person_says_so(
    shop: Shop, faults: StepFaults, desk: Desk, hooks: Hooks, refunds: RefundSteps
) -> None:
    """The order is long over: `retry` on the ticket starts a recovery, which sends the next refund."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    await bank_says(shop, order.order_id, "failed")
    intent = (await shop.payment_intent(order.order_id))["id"]
    await hooks.processed(await hooks.stripe(intent, kind="refund.failed"))

    await desk.settle(await desk.called(order.order_id, "refund_failed"), "retry")

    await until(lambda: desk.is_calm(order.order_id), True)
    assert await refunds.given(order.order_id) == 2000
