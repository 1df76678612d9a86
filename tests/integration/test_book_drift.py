"""Books broken on purpose: each difference is found, given back where that is safe, and reported where it is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select
from temporalio.testing import ActivityEnvironment

from activities.recovery import payment_windows
from adapters.postgres.database import Sessions
from domain.order_states import OrderStatus
from domain.recovery import PaymentAtStripe, PaymentInBooks, ReconcileOrders, Verdict, judge_payment
from services.orders.tables import OrderLine
from services.recovery.cursors import cursor_of
from services.tickets.book import close_ticket_about
from tests.support.orders import Books, Shop
from tests.support.reconciling import open_tickets, reconcile, recovery_of
from tests.support.waiting import until
from worker import build_activities
from workflows.order_fulfillment import OrderFulfillment


async def run(shop: Shop, statement: str, **values: Any) -> None:
    """What a person or a bug does to the database behind the service's back."""
    async with shop.sessions() as session, session.begin():
        await (await session.connection()).execute(text(statement), values)


async def canceled(shop: Shop) -> str:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    await handle.result()
    return order.order_id


async def paid(shop: Shop) -> str:
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    return order.order_id


async def test_books_that_agree_are_left_alone(shop: Shop, worker: None) -> None:
    """A live order and one that has ended: nothing is found, nothing is written."""
    order_ids = [await paid(shop), await canceled(shop)]
    before = [await shop.order(order_id) for order_id in order_ids]
    found = await reconcile(shop, *order_ids)
    assert (found.drifts, found.recovered) == (0, 0)
    assert [await shop.order(order_id) for order_id in order_ids] == before


async def test_stock_that_no_order_holds_is_reported_until_it_is_mended(shop: Shop, worker: None) -> None:
    """`stock.reserved` is not the sum of the reservations: a ticket of no one order."""
    order_id = await paid(shop)
    wrong = """
        UPDATE stock SET reserved = reserved + :by
         WHERE product_id IN (SELECT product_id FROM order_lines WHERE order_id = :order_id)
    """
    await run(shop, wrong, by=3, order_id=order_id)
    assert (await reconcile(shop, order_id)).drifts == 1
    assert "drift_stock" in await open_tickets(shop, None)

    await run(shop, wrong, by=-3, order_id=order_id)
    assert (await reconcile(shop, order_id)).drifts == 0
    async with shop.sessions() as session, session.begin():
        line = (await session.exec(select(OrderLine).where(OrderLine.order_id == order_id))).one()
        await close_ticket_about(session, "drift_stock", "compare_stock", subject=line.product_id)


async def test_stock_that_a_canceled_order_still_holds_is_given_back(shop: Shop, worker: None) -> None:
    """The fence says that it was given back: the recovery looks again."""
    order_id = await canceled(shop)
    await run(shop, "UPDATE reservations SET state = 'held' WHERE order_id = :order_id", order_id=order_id)
    await run(
        shop,
        "UPDATE stock SET reserved = 2 WHERE product_id IN (SELECT product_id FROM order_lines WHERE order_id = :o)",
        o=order_id,
    )
    assert (await reconcile(shop, order_id)).recovered == 1
    assert await recovery_of(shop, order_id).result() is OrderStatus.CANCELED
    assert await shop.books(order_id) == Books(status="CANCELED", payment_status="Refunded", on_hand=10)


async def test_money_of_a_canceled_order_that_our_books_do_not_know_is_given_back(shop: Shop, worker: None) -> None:
    """A second PaymentIntent with our reference, made by nobody knows whom: found by Stripe's list."""
    order_id = await canceled(shop)
    await shop.http.post(f"{shop.stack.urls.stripe}/_control/search_lag", json={"seconds": 0})
    made = await shop.paid_at_stripe(order_id, capture="manual")
    assert (await shop.at_stripe("GET", f"payment_intents/{made}"))["status"] == "requires_capture"
    found = await reconcile(shop, order_id)
    assert (found.drifts, found.recovered) == (1, 1)
    await recovery_of(shop, order_id).result()
    assert (await shop.at_stripe("GET", f"payment_intents/{made}"))["status"] == "canceled"
    assert await open_tickets(shop, order_id) == []


async def test_a_payment_that_stripe_does_not_know_is_reported(shop: Shop, worker: None) -> None:
    """As after a change of accounts: the comparison goes on, and a person is told."""
    order_id = await paid(shop)
    await run(shop, "UPDATE payments SET payment_intent_id = 'pi_of_nobody' WHERE order_id = :o", o=order_id)
    for _ in range(2):  # the first one finds what Stripe has and our books have not, which changes the order
        await reconcile(shop, order_id)
    assert "drift_payment" in await open_tickets(shop, None)


async def test_money_that_a_person_wrote_off_is_not_looked_at_again(shop: Shop, worker: None) -> None:
    """Whoever settled a ticket of the order knows more than the books."""
    order_id = await canceled(shop)
    await run(shop, "UPDATE reservations SET state = 'held' WHERE order_id = :o", o=order_id)
    await run(
        shop,
        """
        WITH settled AS (INSERT INTO tickets (order_id, kind, step, detail, opened_at, resolved_at, resolved_by)
                         VALUES (:o, 'drift_stock', 'compare_stock', '', now(), now(), 'ann') RETURNING id)
        INSERT INTO ticket_actions (ticket_id, at, by, action, note, evidence)
        SELECT id, now(), 'ann', 'write_off', '', '' FROM settled
        """,
        o=order_id,
    )
    assert (await reconcile(shop, order_id)).recovered == 0
    await run(shop, "UPDATE reservations SET state = 'released' WHERE order_id = :o", o=order_id)


async def test_an_amount_that_differs_reaches_a_person_once(shop: Shop, worker: None) -> None:
    """Captured by our books and captured by Stripe's: nobody but a person can say which is right."""
    order_id = await paid(shop)
    await run(shop, "UPDATE payments SET captured_minor = 1500 WHERE order_id = :o", o=order_id)
    for _ in range(2):
        assert (await reconcile(shop, order_id)).drifts == 1
    assert await open_tickets(shop, order_id) == ["drift_payment"]
    assert (await shop.order(order_id)).needs_attention


async def test_payments_are_compared_once_they_rest_and_behind_the_cursor_no_more(
    shop: Shop, sessions: Sessions, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the schedule does it, over all orders: what has changed since the last time, and nothing twice."""
    order_id = await paid(shop)
    monkeypatch.setattr(payment_windows, "DAYS_AGAIN", 1)
    comparison = ReconcileOrders(unchanged_for=timedelta(0))
    await run(shop, "UPDATE payments SET captured_minor = 1500 WHERE order_id = :o", o=order_id)
    await run(shop, "DELETE FROM cursors WHERE name = 'payments_compared'")

    async def compared() -> list[str]:
        async with build_activities(shop.settings) as activities:
            environment = ActivityEnvironment(shop.client)
            while (await environment.run(activities.comparison.compare_payments, comparison)).more:
                pass
        return await open_tickets(shop, order_id)

    assert await compared() == ["drift_payment"]
    changed = (await shop.order(order_id)).updated_at
    assert await compared() == ["drift_payment"]
    assert (await shop.order(order_id)).updated_at == changed
    async with sessions() as session:
        cursor = await cursor_of(session, "payments_compared")
    assert cursor is not None and cursor > changed


async def test_what_one_recovery_could_not_give_back_reaches_a_person(shop: Shop, worker: None) -> None:
    """Instead of one recovery after the other that finds the same."""
    order_id = await canceled(shop)
    await run(shop, "UPDATE shipments SET state = 'bought' WHERE order_id = :o", o=order_id)
    assert (await reconcile(shop, order_id)).recovered == 1
    await recovery_of(shop, order_id).result()
    assert (await reconcile(shop, order_id)).drifts == 0  # the carrier says that it is void
    await run(shop, "UPDATE shipments SET state = 'bought' WHERE order_id = :o", o=order_id)
    assert (await reconcile(shop, order_id)).recovered == 0
    assert await open_tickets(shop, order_id) == ["drift_payment"]


HELD = PaymentAtStripe(id="pi_1", order_id="1", status="requires_capture")
TAKEN = PaymentAtStripe(id="pi_1", order_id="1", status="succeeded", received=1000)
RETURNED = PaymentAtStripe(id="pi_1", order_id="1", status="succeeded", received=1000, refunded=1000)
GONE = PaymentAtStripe(id="pi_1", order_id="1", status="canceled")
NEW = PaymentAtStripe(id="pi_1", order_id="1", status="requires_confirmation")


@pytest.mark.parametrize(
    ("payment", "row", "order", "verdict"),
    [
        (HELD, PaymentInBooks(state="authorized"), "CONFIRMED", Verdict.AGREES),
        (TAKEN, PaymentInBooks(state="authorized"), "CONFIRMED", Verdict.AGREES),  # the answer is on its way
        (TAKEN, PaymentInBooks(state="captured", captured=1000), "DELIVERED", Verdict.AGREES),
        (RETURNED, PaymentInBooks(state="refunded", captured=1000, refunded=1000), "CANCELED", Verdict.AGREES),
        (GONE, PaymentInBooks(state="voided"), "CANCELED", Verdict.AGREES),
        (NEW, None, "RESERVED", Verdict.AGREES),  # it moves no money
        (NEW, None, None, Verdict.AGREES),
        (HELD, PaymentInBooks(state="voided"), "CANCELED", Verdict.GIVE_BACK),
        (TAKEN, PaymentInBooks(state="voided"), "REJECTED", Verdict.GIVE_BACK),
        (HELD, None, "CANCELED", Verdict.GIVE_BACK),
        (HELD, None, "CONFIRMED", Verdict.REPORT),
        (HELD, None, None, Verdict.REPORT),
        (HELD, PaymentInBooks(state="declined"), "CONFIRMED", Verdict.REPORT),
        (TAKEN, PaymentInBooks(state="captured", captured=900), "SHIPPED", Verdict.REPORT),
        (RETURNED, PaymentInBooks(state="captured", captured=1000), "DELIVERED", Verdict.BOOK),
        (RETURNED, PaymentInBooks(state="captured", captured=1000, pending=1000), "DELIVERED", Verdict.AGREES),
        (RETURNED, PaymentInBooks(state="captured", captured=1000), "CANCELING", Verdict.AGREES),  # its undo's work
        (RETURNED, PaymentInBooks(state="authorized"), "CONFIRMED", Verdict.BOOK),
        (TAKEN, PaymentInBooks(state="refunded", captured=1000, refunded=1000), "CANCELED", Verdict.GIVE_BACK),
        (GONE, PaymentInBooks(state="authorized"), "CANCELED", Verdict.BOOK),
        (GONE, PaymentInBooks(state="authorized"), "CONFIRMED", Verdict.AGREES),  # its workflow is told
    ],
)
def test_each_pair_of_books_has_its_verdict(
    payment: PaymentAtStripe, row: PaymentInBooks | None, order: str | None, verdict: Verdict
) -> None:
    """What is the order's own work, what goes back by itself, and what only a person can judge."""
    assert judge_payment(payment, row, OrderStatus(order) if order else None)[0] is verdict
