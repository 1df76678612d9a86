"""Differences between books that reach a person: one ticket for each thing, and silence only for what was settled."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from temporalio.testing import ActivityEnvironment

from activities.recovery.payment_windows import Page
from adapters.postgres.database import Sessions
from domain.order_states import OrderStatus
from domain.recovery import ReconcileOrders, Verdict
from services.tickets.tables import Ticket
from tests.support.orders import Shop
from tests.support.reconciling import open_tickets, reconcile
from tests.support.repairs import Desk
from tests.support.waiting import until
from worker import Activities


async def run(shop: Shop, statement: str, **values: Any) -> None:
    """What a person or a bug does to the database behind the service's back."""
    async with shop.sessions() as session, session.begin():
        await (await session.connection()).execute(text(statement), values)


async def paid(shop: Shop) -> str:
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    return order.order_id


async def test_each_of_three_unknown_payments_has_its_ticket(
    shop: Shop, sessions: Sessions, activities: Activities
) -> None:
    """Three PaymentIntents of orders that nobody knows hold money: three tickets, once, and all are drifts."""
    unknown = [await shop.paid_at_stripe(f"nobody-{secrets.token_hex(4)}", 70_000) for _ in range(3)]
    for _ in range(2):
        assert [await verdict(activities, payment) for payment in unknown] == [Verdict.REPORT] * 3
    async with sessions() as session:
        query = select(Ticket).where(col(Ticket.subject).in_(unknown), col(Ticket.resolved_at).is_(None))
        tickets = list(await session.exec(query))
    assert sorted(ticket.subject or "" for ticket in tickets) == sorted(unknown)
    assert {ticket.kind for ticket in tickets} == {"drift_payment"}


async def verdict(activities: Activities, payment_intent_id: str) -> Verdict:
    """One payment, as the comparison of all of them does it."""
    comparison = activities.comparison

    async def pages() -> AsyncIterator[Page]:
        yield Page([await comparison._stripe.payment(payment_intent_id)])

    (found,) = await comparison._compare_all(pages(), ReconcileOrders())
    return found


async def test_a_difference_that_was_settled_is_told_again_when_it_changes(
    shop: Shop, sessions: Sessions, desk: Desk, worker: None
) -> None:
    """Written off: silent as long as both books stay as they were."""
    order_id = await paid(shop)
    await run(shop, "UPDATE payments SET captured_minor = 1500 WHERE order_id = :o", o=order_id)
    await reconcile(shop, order_id)
    await desk.settle(await desk.called(order_id, "drift_payment"), "write_off")
    await reconcile(shop, order_id)
    assert await open_tickets(shop, order_id) == []
    intent = await shop.payment_intent(order_id)
    await shop.at_stripe("POST", "refunds", payment_intent=intent["id"], amount="300")
    await reconcile(shop, order_id)
    assert await open_tickets(shop, order_id) == ["foreign_refund"]


async def test_two_payments_of_one_order_that_differ_have_a_ticket_each(
    shop: Shop, sessions: Sessions, worker: None
) -> None:
    """Both hold money that the order's books do not know."""
    order_id = await paid(shop)
    made = [await shop.paid_at_stripe(order_id, minor) for minor in (500, 600)]
    await reconcile(shop, order_id)
    assert await open_tickets(shop, order_id) == ["drift_payment", "drift_payment"]
    async with sessions() as session:
        subjects = await session.exec(select(Ticket.subject).where(Ticket.order_id == order_id))
        assert sorted(one or "" for one in subjects) == sorted(made)


async def test_each_product_whose_stock_differs_has_its_ticket(
    shop: Shop, activities: Activities, sessions: Sessions
) -> None:
    """One that is mended closes, the other stays."""
    products = [await shop.product() for _ in range(2)]
    reserve = "UPDATE stock SET reserved = :n WHERE product_id = :p"
    for product in products:
        await run(shop, reserve, n=1, p=product)

    async def told() -> list[str]:
        await ActivityEnvironment().run(activities.comparison.compare_stock, ReconcileOrders())
        async with sessions() as session:
            query = select(Ticket.subject).where(col(Ticket.subject).in_(products), col(Ticket.resolved_at).is_(None))
            return [one or "" for one in await session.exec(query)]

    assert sorted(await told()) == sorted(products)
    await run(shop, reserve, n=0, p=products[0])
    assert await told() == [products[1]]
    await run(shop, reserve, n=0, p=products[1])
    assert await told() == []
