"""Fraud reviews and disputes: unshipped goods stay here, a person is called, a disputed charge is not refunded."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlmodel import select
from temporalio.api.enums.v1 import EventType

from adapters.postgres.database import Sessions
from domain.commands import Hold, PaymentTry
from domain.errors import ReturnRefused, TryAgain
from domain.order_states import OrderStatus
from services.orders.book import OrderBook
from services.refunds.holds import note_hold
from services.tickets.tables import Ticket
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop, steps_run
from tests.support.steps import Steps
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from workflows.order_fulfillment import OrderFulfillment


async def open_kinds(sessions: Sessions, order_id: str) -> str:
    """The kinds of the order's open tickets, with blanks between."""
    async with sessions() as session:
        tickets = await session.exec(select(Ticket).where(Ticket.order_id == order_id))
        return " ".join(ticket.kind for ticket in tickets if ticket.resolved_at is None)


async def control(shop: Shop, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await shop.http.post(f"{shop.stack.urls.stripe}/_control/{path}", json=body)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def under_review(shop: Shop) -> tuple[str, Handle]:
    order = await shop.put(await shop.product(), payment_method="pm_card_riskLevelElevated")
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    return order.order_id, handle


async def captured(shop: Shop) -> tuple[str, Handle, str]:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    return order.order_id, handle, (await shop.payment_intent(order.order_id))["id"]


async def test_an_order_under_review_ships_when_the_review_is_closed(
    hooks: Hooks, shop: Shop, sessions: Sessions, api: httpx.AsyncClient, worker: None
) -> None:
    """Confirmed, but no label; the ticket closes by itself, as soon as Stripe tells of the approval."""
    order_id, handle = await under_review(shop)
    await until(lambda: open_kinds(sessions, order_id), "payment_review")
    assert (await api.get(f"/api/orders/{order_id}")).json()["hold"] == "review"
    assert "ship_order" not in await steps_run(handle)
    intent = await shop.payment_intent(order_id)
    await shop.at_stripe("POST", f"reviews/{intent['review']}/approve")
    about = {"object": "review", "id": intent["review"], "payment_intent": intent["id"]}
    event = {"id": f"evt_{order_id}", "type": "review.closed", "data": {"object": about}}
    assert (await hooks.stripe_event(event)).status_code == 202
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    await until(lambda: open_kinds(sessions, order_id), "")
    view = (await api.get(f"/api/orders/{order_id}")).json()
    assert ("hold" in view, view["needsAttention"]) == (False, False)


async def test_ship_now_does_not_overrule_a_review(shop: Shop, worker: None) -> None:
    """The signal ends a wait for a date, not a suspicion; a cancel undoes the order as ever."""
    order_id, handle = await under_review(shop)
    await handle.signal(OrderFulfillment.ship_now)
    await handle.signal(OrderFulfillment.payment_changed)
    await until(lambda: looks(handle), 1)
    assert "ship_order" not in await steps_run(handle)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.money(order_id) == (0, 0)


async def looks(handle: Handle) -> int:
    return (await steps_run(handle)).count("keep_authorization")


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_dispute_reaches_a_person(
    hooks: Hooks, shop: Shop, sessions: Sessions, worker: None, outcome: str
) -> None:
    """The flag stays when the bank decides for the customer, and goes when it decides for the shop."""
    order_id, _, intent = await captured(shop)
    dispute = await control(shop, "disputes", {"payment_intent": intent, "reason": "fraudulent"})
    await hooks.processed(await hooks.stripe(intent, kind="charge.dispute.created"))
    assert await open_kinds(sessions, order_id) == "payment_dispute"
    assert (await shop.order(order_id)).hold == "dispute"
    await control(shop, f"disputes/{dispute['id']}/close", {"status": outcome})
    await hooks.processed(await hooks.stripe(intent, kind="charge.dispute.closed"))
    assert await open_kinds(sessions, order_id) == ("payment_dispute" if outcome == "lost" else "")
    assert (await shop.order(order_id)).hold == ("dispute" if outcome == "lost" else None)


async def test_a_dispute_told_twice_and_out_of_order_is_one_ticket(
    hooks: Hooks, shop: Shop, sessions: Sessions, worker: None
) -> None:
    """What counts is what Stripe says now: an event that says it is closed does not close it."""
    order_id, _, intent = await captured(shop)
    await control(shop, "disputes", {"payment_intent": intent, "reason": "fraudulent"})
    for kind in ("charge.dispute.closed", "charge.dispute.created", "charge.dispute.created"):
        await hooks.processed(await hooks.stripe(intent, kind=kind))
    assert await open_kinds(sessions, order_id) == "payment_dispute"


async def test_a_disputed_charge_is_never_refunded_by_itself(shop: Shop, steps: Steps) -> None:
    """The undo stops before Stripe is asked for a refund, and says that a person has to decide."""
    order = await shop.put(await shop.product())
    await steps.reach("capture_payment", order.order_id)
    intent = (await shop.payment_intent(order.order_id))["id"]
    dispute = await control(shop, "disputes", {"payment_intent": intent, "reason": "fraudulent"})
    await steps.run("cancel_shipment", order.order_id)
    with pytest.raises(ReturnRefused, match="disputed") as refused:
        await steps.run("return_payment", order.order_id)
    assert refused.value.code == "payment_dispute"
    assert "refund" not in await steps.effects("stripe", order.order_id)
    await control(shop, f"disputes/{dispute['id']}/close", {"status": "won"})
    await steps.run("return_payment", order.order_id)
    assert (await steps.effects("stripe", order.order_id)).count("refund") == 1


async def test_a_canceled_order_that_is_disputed_waits_for_a_person(
    shop: Shop, sessions: Sessions, worker: None
) -> None:
    """The label is voided and a ticket says why the money stays where it is."""
    order_id, handle, intent = await captured(shop)
    await control(shop, "disputes", {"payment_intent": intent, "reason": "fraudulent"})
    await handle.signal(OrderFulfillment.cancel_order)
    await until(lambda: open_kinds(sessions, order_id), "step_refused")
    assert await shop.live_labels(order_id) == 0
    assert await shop.status(order_id) is OrderStatus.CANCELING
    await handle.terminate()


async def test_a_hold_is_written_once(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """The repeat of a step that found a review writes nothing, and opens no second ticket."""
    order = await shop.put(await shop.product(), payment_method="pm_card_riskLevelElevated")
    await steps.reach("authorize_payment", order.order_id)
    written = await steps.written(order.order_id)
    await steps.run("authorize_payment", order.order_id)
    assert await steps.written(order.order_id) == written
    assert await open_kinds(sessions, order.order_id) == "payment_review"


async def test_looks_at_a_held_payment_without_a_webhook(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """A webhook that never came is made up for by the look that an order on hold takes by itself."""
    order = await shop.put(await shop.product(), payment_method="pm_card_riskLevelElevated")
    await steps.reach("authorize_payment", order.order_id)
    intent = await shop.payment_intent(order.order_id)
    await shop.at_stripe("POST", f"reviews/{intent['review']}/approve")
    answer = await steps.run("keep_authorization", order.order_id)
    assert answer.hold is not None, "the same round's saved answer"
    look = PaymentTry(order_id=order.order_id, round=2)
    assert (await steps.run_with("keep_authorization", look)).hold is None
    assert await open_kinds(sessions, order.order_id) == ""


async def test_a_review_that_opens_while_the_label_is_bought_keeps_the_money_and_the_goods(
    shop: Shop, sessions: Sessions, faults: StepFaults
) -> None:
    """The news comes while the carrier is asked for the label: nothing is captured before the review is closed."""
    faults.hold("ship_order")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("ship_order")
    intent = (await shop.payment_intent(order.order_id))["id"]
    review = await control(shop, "reviews", {"payment_intent": intent})
    await handle.signal(OrderFulfillment.payment_changed)
    faults.release("ship_order")
    await until(lambda: open_kinds(sessions, order.order_id), "payment_review")
    assert await shop.status(order.order_id) is OrderStatus.CONFIRMED
    await shop.at_stripe("POST", f"reviews/{review['id']}/approve")
    await handle.signal(OrderFulfillment.payment_changed)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await until(lambda: open_kinds(sessions, order.order_id), "")


async def test_news_that_comes_during_the_authorization_is_looked_at_before_the_label(
    shop: Shop, sessions: Sessions, faults: StepFaults
) -> None:
    """The webhook of a review overtakes the answer of the confirmation."""
    faults.fail("authorize_payment", TryAgain("not yet"))
    faults.hold("authorize_payment")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("authorize_payment")
    await handle.signal(OrderFulfillment.payment_changed)
    faults.release("authorize_payment")
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    run = await steps_run(handle)
    assert run.index("keep_authorization") < run.index("ship_order")


async def test_recording_an_authorization_releases_no_hold(shop: Shop, steps: Steps) -> None:
    """The webhook of a review was followed up first; the confirmation's own answer knew of none."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        await note_hold(locked, Hold.REVIEW)
    await steps.run("authorize_payment", order.order_id)
    assert (await shop.order(order.order_id)).hold == "review"
    with pytest.raises(TryAgain, match="on hold"):
        await steps.run("ship_order", order.order_id)


async def test_news_of_a_hold_is_told_again_when_the_engine_was_away(
    hooks: Hooks, shop: Shop, sessions: Sessions, faults: StepFaults
) -> None:
    """The hold was written down, the signal was lost: the next event about the payment signals again."""
    faults.hold("ship_order")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("ship_order")
    intent = (await shop.payment_intent(order.order_id))["id"]
    await control(shop, "reviews", {"payment_intent": intent})
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        await note_hold(locked, Hold.REVIEW)
    await hooks.processed(await hooks.stripe(intent, kind="review.opened"))
    signaled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    assert [event.event_type for event in (await handle.fetch_history()).events].count(signaled) == 1
    faults.release("ship_order")
    await handle.terminate()
