"""News about an order that has ended: it reaches a person, and is never dropped."""

from __future__ import annotations

from sqlmodel import select

from adapters.postgres.database import Sessions
from domain.order_states import OrderStatus
from services.payments.tables import Payment
from services.tickets.tables import Ticket
from tests.support.orders import Shop
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from workflows.order_fulfillment import OrderFulfillment


async def canceled_order(shop: Shop) -> str:
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    return order.order_id


async def tickets(sessions: Sessions, order_id: str) -> list[str]:
    async with sessions() as session:
        return list(await session.exec(select(Ticket.kind).where(Ticket.order_id == order_id)))


async def test_a_scan_after_a_void_reaches_a_person(
    hooks: Hooks, shop: Shop, sessions: Sessions, worker: None
) -> None:
    """The warehouse sent the parcel although its label was void: once, however often the carrier tells it."""
    order_id = await canceled_order(shop)
    await shop.parcel(order_id, "in_transit")
    for _ in range(2):
        await hooks.carrier(await shop.shipment_id(order_id))
    await until(lambda: tickets(sessions, order_id), ["scan_after_void"])
    order = await shop.order(order_id)
    assert (order.status, order.needs_attention) == ("CANCELED", True)


async def test_money_for_an_order_that_is_over_reaches_a_person(
    hooks: Hooks, shop: Shop, sessions: Sessions, worker: None
) -> None:
    """Stripe holds money although our book says that it was given back."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.cancel_order)
    await handle.result()
    async with sessions() as session, session.begin():
        payment = (await session.exec(select(Payment).where(Payment.order_id == order.order_id))).one()
        payment.payment_intent_id = await shop.paid_at_stripe(order.order_id)
        payment.state, payment.captured_minor, payment.refunded_minor = "voided", 0, 0  # as if it had been
        session.add(payment)
    await hooks.stripe(payment.payment_intent_id)
    await until(lambda: tickets(sessions, order.order_id), ["late_money"])
