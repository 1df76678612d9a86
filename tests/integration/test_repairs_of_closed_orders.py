"""Tickets that no workflow waits for: the desk settles them in the books, and a retry starts a recovery."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sqlmodel import select
from temporalio.client import Client

from adapters.postgres.database import Sessions
from domain.commands import Attention, Hold
from domain.errors import OurMistake
from domain.order_states import OrderStatus
from services.orders.book import OrderBook
from services.payments.tables import Payment
from services.refunds.holds import note_hold
from services.tickets.book import close_ticket_about, open_ticket, open_ticket_about
from tests.support.fakes import StepFaults
from tests.support.orders import Shop
from tests.support.refunds import RefundSteps, ask
from tests.support.repairs import Desk, Ticket
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from worker import Activities
from workflows.order_fulfillment import OrderFulfillment


async def canceled_order(shop: Shop) -> str:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    return order.order_id


async def payment(sessions: Sessions, order_id: str, **changes: object) -> Payment:
    async with sessions() as session, session.begin():
        row = (await session.exec(select(Payment).where(Payment.order_id == order_id))).one()
        for name, value in changes.items():
            setattr(row, name, value)
        session.add(row)
    return row


async def late_money(shop: Shop, sessions: Sessions, hooks: Hooks, desk: Desk) -> tuple[str, Ticket]:
    """As if a payment had been voided, while Stripe says that it has succeeded."""
    order_id = await canceled_order(shop)
    late = await shop.paid_at_stripe(order_id)
    row = await payment(
        sessions, order_id, payment_intent_id=late, state="voided", captured_minor=0, refunded_minor=0
    )
    await hooks.stripe(row.payment_intent_id)
    return order_id, await desk.called(order_id, "late_money")


@pytest.mark.parametrize("decision", ["mark_done", "write_off"])
async def test_late_money_is_settled_by_hand(
    shop: Shop, sessions: Sessions, hooks: Hooks, desk: Desk, worker: None, decision: str
) -> None:
    """The ticket closes with its audit row, and the order needs nobody any more."""
    order_id, ticket = await late_money(shop, sessions, hooks, desk)
    assert ticket["order"]["status"] == "CANCELED" and ticket["order"]["paymentIntentId"].startswith("pi_")

    await desk.settle(ticket, decision)

    assert await desk.trail(ticket) == [("opened", "saga"), (decision, "alice")]
    assert not (await shop.order(order_id)).needs_attention
    assert (await desk.look(ticket["ticketId"]))["possible"] == []


async def test_one_of_two_operators_wins_at_the_desk(
    shop: Shop, sessions: Sessions, hooks: Hooks, desk: Desk, worker: None
) -> None:
    """Under the lock of the order's row: the other is told who settled it."""
    _, ticket = await late_money(shop, sessions, hooks, desk)

    answers = await asyncio.gather(
        *(desk.decide(ticket, "write_off", by=operator) for operator in ("alice", "bob", "carol"))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert {answer.json()["code"] for answer in answers} == {"resolved", "ticket_resolved"}
    assert len(await desk.trail(ticket)) == 2


async def test_a_retry_of_late_money_starts_a_recovery(
    shop: Shop, sessions: Sessions, hooks: Hooks, desk: Desk, temporal_client: Client, worker: None
) -> None:
    """Under the order's workflow id; it looks at Stripe again and closes the ticket when all is given back."""
    order_id, ticket = await late_money(shop, sessions, hooks, desk)

    await desk.settle(ticket, "retry")

    found = await temporal_client.get_workflow_handle(f"order-{order_id}").describe()
    assert found.workflow_type == "OrderRecovery"
    await desk.settled(ticket, ("retry", "alice"), ("closed", "saga"))
    assert (await shop.books(order_id)).kept == 0


@pytest.mark.parametrize("decision", ["mark_done", "write_off"])
async def test_a_refund_that_failed_after_all_is_settled_by_hand(
    shop: Shop, sessions: Sessions, hooks: Hooks, desk: Desk, worker: None, decision: str
) -> None:
    """Stripe told of a refund, and then that the bank gave it back to the shop."""
    order_id = await canceled_order(shop)
    row = await payment(sessions, order_id)
    await fail_refunds(shop, row.payment_intent_id)
    await hooks.stripe(row.payment_intent_id, kind="payment_intent.succeeded")
    ticket = await desk.called(order_id, "refund_failed")

    await desk.settle(ticket, decision)

    assert await desk.trail(ticket) == [("opened", "saga"), (decision, "alice")]


async def fail_refunds(shop: Shop, payment_intent_id: str) -> None:
    """Has Stripe's simulator fail the refunds of a payment, after they had succeeded."""
    base = shop.stack.urls.stripe
    key = {"Authorization": f"Bearer {shop.settings.stripe_api_key.get_secret_value()}"}
    listed = await shop.http.get(f"{base}/v1/refunds", params={"payment_intent": payment_intent_id}, headers=key)
    for refund in listed.raise_for_status().json()["data"]:
        url = f"{base}/_control/refunds/{refund['id']}"
        (await shop.http.post(url, json={"status": "failed"})).raise_for_status()


@pytest.mark.parametrize("decision", ["mark_done", "write_off"])
async def test_a_parcel_that_left_after_its_void_is_settled_by_hand(
    shop: Shop, hooks: Hooks, desk: Desk, worker: None, decision: str
) -> None:
    """It is back, or it is lost."""
    order_id = await canceled_order(shop)
    await shop.parcel(order_id, "in_transit")
    await hooks.carrier(await shop.shipment_id(order_id))
    ticket = await desk.called(order_id, "scan_after_void")

    await desk.settle(ticket, decision)

    assert await desk.trail(ticket) == [("opened", "saga"), (decision, "alice")]
    refused = await desk.decide(ticket, "retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_resolved")


@pytest.mark.parametrize("hold", [Hold.REVIEW, Hold.DISPUTE], ids=str)
async def test_a_hold_on_a_payment_is_settled_and_the_goods_stay(
    shop: Shop, sessions: Sessions, desk: Desk, hold: Hold
) -> None:
    """Whoever answers a dispute or a review closes the ticket; Stripe alone ends the hold."""
    order = await shop.put(await shop.product())
    async with OrderBook(sessions).locked(order.order_id) as locked:
        await note_hold(locked, hold)
    ticket = await desk.called(order.order_id, f"payment_{hold}")
    assert (await desk.decide(ticket, "write_off")).json()["code"] == "decision_not_possible"

    await desk.settle(ticket, "retry")
    await desk.settle(ticket, "mark_done")

    assert await desk.trail(ticket) == [("opened", "saga"), ("retry", "alice"), ("mark_done", "alice")]
    assert (await shop.order(order.order_id)).hold == hold


async def test_a_stuck_workflow_task_is_settled_by_whoever_mended_it(
    shop: Shop, sessions: Sessions, desk: Desk
) -> None:
    """There is nothing to retry: the engine does so by itself."""
    order = await shop.put(await shop.product())
    about = Attention(order_id=order.order_id, step="workflow_task", kind="stuck_workflow_task", detail="a bug")
    async with OrderBook(sessions).locked(order.order_id) as locked:
        await open_ticket(locked, about)
    ticket = await desk.called(order.order_id, "stuck_workflow_task")
    assert [one["decision"] for one in ticket["possible"]] == ["mark_done"]

    await desk.settle(ticket, "mark_done", evidence="release 2026-11-21")

    assert not (await shop.order(order.order_id)).needs_attention


@pytest.mark.parametrize("decision", ["mark_done", "write_off"])
async def test_a_drift_of_no_one_order_is_settled_by_hand(sessions: Sessions, desk: Desk, decision: str) -> None:
    """Opened once however often it is found; it has a trail like any other."""
    async with sessions() as session, session.begin():
        first = await open_ticket_about(session, "drift_stock", decision, "001 has 3 reserved, the orders 2")
        again = await open_ticket_about(session, "drift_stock", decision, "001 has 3 reserved, the orders 2")
    assert first == again
    ticket = await desk.look(str(first))
    assert "orderId" not in ticket and ticket["title"] == "Two of our books disagree"

    answers = await asyncio.gather(desk.decide(ticket, decision), desk.decide(ticket, decision, by="bob"))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await desk.trail(ticket)) == 2


async def test_a_drift_that_is_over_closes_by_itself(sessions: Sessions, desk: Desk) -> None:
    """Whoever found it finds it no more."""
    async with sessions() as session, session.begin():
        ticket = str(await open_ticket_about(session, "drift_stock", "mended", "3 and 2"))
    async with sessions() as session, session.begin():
        await close_ticket_about(session, "drift_stock", "mended")
    assert (await desk.look(ticket))["resolvedBy"] == "mended"
    assert [row["action"] for row in (await desk.look(ticket))["actions"]] == ["opened", "closed"]


async def test_a_goodwill_refund_is_tried_again_by_its_own_workflow(
    api: httpx.AsyncClient, activities: Activities, shop: Shop, desk: Desk, faults: StepFaults
) -> None:
    """Its ticket goes to the refund's workflow, not to the order's, which ended long ago."""
    refunds = RefundSteps(activities, shop)
    order_id = await refunds.captured(to="record_delivered")
    faults.fail("send_refund", OurMistake("the parameters drifted"))
    asking = asyncio.create_task(ask(api, order_id))
    ticket = await desk.called(order_id, "step_refused")
    assert (ticket["step"], [one["decision"] for one in ticket["possible"]]) == ("refund k1", ["retry"])

    await desk.settle(ticket, "retry")

    assert (await asking).status_code == 201
    assert await refunds.given(order_id) == 500
    await desk.settled(ticket, ("retry", "alice"), ("closed", "saga"))
