"""Money that a person has settled, and what Stripe does about it afterwards: told once, and nothing is done to it."""

from __future__ import annotations

import pytest
from sqlmodel import select

from adapters.postgres.database import Sessions
from domain.errors import OurMistake, ShipmentRefused
from domain.order_states import OrderStatus
from services.payments.tables import Payment
from tests.support.fakes import StepFaults
from tests.support.orders import Shop
from tests.support.reconciling import reconcile, recovery_of
from tests.support.repairs import Desk
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from workflows.order_fulfillment import OrderFulfillment

pytestmark = pytest.mark.slow


async def settled(
    shop: Shop, faults: StepFaults, desk: Desk, decision: str, at: OrderStatus = OrderStatus.READY_TO_SHIP
) -> tuple[str, str]:
    """A canceled order whose return a person settled, and its PaymentIntent."""
    if at is OrderStatus.CONFIRMED:
        faults.fail("ship_order", ShipmentRefused("address_refused", "no carrier goes there"))
    order = await shop.put(await shop.product())
    faults.fail("return_payment", OurMistake("the far end refuses"))
    handle = await shop.start(order)
    if at is OrderStatus.READY_TO_SHIP:
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
        await handle.signal(OrderFulfillment.cancel_order)
    await desk.settle(await desk.called(order.order_id, "step_refused", "return_payment"), decision)
    assert await handle.result() is OrderStatus.CANCELED
    return order.order_id, (await shop.payment_intent(order.order_id))["id"]


async def look(hooks: Hooks, shop: Shop, order_id: str, intent: str) -> None:
    """By an event and by the comparison of books, which find the same."""
    await hooks.processed(await hooks.stripe(intent, kind="charge.refunded"))
    await reconcile(shop, order_id)


async def test_money_that_went_back_by_hand_and_at_stripe_is_told_once(
    hooks: Hooks, shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """The refund whose outcome nobody knew arrives after all: both transfers stand, and a person hears of it."""
    order_id, intent = await settled(shop, faults, desk, "mark_done")
    await look(hooks, shop, order_id, intent)
    assert await desk.kinds(order_id) == [], "what a person has settled is still as it was"

    late = {"metadata[order_id]": order_id, "metadata[operation]": "refund:1"}
    await shop.at_stripe("POST", "refunds", payment_intent=intent, **late)
    for _ in range(2):
        await look(hooks, shop, order_id, intent)
    (ticket,) = await desk.tickets(order_id)
    assert ticket["kind"] == "settled_twice"
    assert "done by other means" in ticket["detail"] and intent in ticket["detail"]

    await desk.settle(ticket, "write_off")
    await look(hooks, shop, order_id, intent)
    assert await desk.kinds(order_id) == []


async def test_a_recovery_gives_back_nothing_that_was_paid_back_by_hand(
    hooks: Hooks, shop: Shop, faults: StepFaults, desk: Desk, sessions: Sessions
) -> None:
    """It is begun for other money of the same order, gives that back, and leaves the settled payment alone."""
    order_id, _ = await settled(shop, faults, desk, "mark_done")
    late = await shop.paid_at_stripe(order_id)
    async with sessions() as session, session.begin():
        session.add(
            Payment(payment_intent_id=late, order_id=order_id, attempt=2, state="voided", amount_minor=700,
                    currency="USD")
        )  # fmt: skip
    await hooks.processed(await hooks.stripe(late))
    await desk.settle(await desk.called(order_id, "late_money"), "retry")
    await until(lambda: desk.is_calm(order_id), True)
    await recovery_of(shop, order_id).result()
    async with sessions() as session:
        states = list(await session.exec(select(Payment.state).where(Payment.order_id == order_id)))
    (refund,) = (await shop.at_stripe("GET", f"refunds?payment_intent={late}"))["data"]
    assert refund["amount"] == 700
    assert (await shop.books(order_id)).kept == 2000, "paid back by hand, so Stripe's payment stays"
    assert states == ["refunded", "refunded"]


async def test_a_hold_that_was_written_off_and_lapses_is_booked(
    hooks: Hooks, shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """The customer lost nothing: the order says Voided, and nobody is called."""
    order_id, intent = await settled(shop, faults, desk, "write_off", OrderStatus.CONFIRMED)
    assert (await shop.order(order_id)).payment_status == "Authorized"
    await look(hooks, shop, order_id, intent)
    await shop.at_stripe("POST", f"payment_intents/{intent}/cancel")
    await look(hooks, shop, order_id, intent)
    assert ((await shop.order(order_id)).payment_status, await desk.kinds(order_id)) == ("Voided", [])


async def test_a_loss_that_stripe_gave_back_after_all_is_booked_and_told(
    hooks: Hooks, shop: Shop, faults: StepFaults, desk: Desk
) -> None:
    """Written off as not given back: the books follow what Stripe did, and who wrote it off hears of it."""
    order_id, intent = await settled(shop, faults, desk, "write_off")
    late = {"metadata[order_id]": order_id, "metadata[operation]": "refund:1"}
    await shop.at_stripe("POST", "refunds", payment_intent=intent, **late)
    for _ in range(2):
        await look(hooks, shop, order_id, intent)
    assert (await shop.order(order_id)).payment_status == "Refunded"
    assert await desk.kinds(order_id) == ["foreign_refund"]
