"""What a person does in Stripe's dashboard is booked once, told, and ends right."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlmodel import select
from temporalio.testing import ActivityEnvironment

from activities.recovery import payment_windows
from adapters.postgres.database import Sessions
from domain.order_states import OrderStatus
from domain.recovery import ReconcileOrders
from domain.refunds import GiveRefund, RefundState
from services.refunds.tables import Refund
from tests.support.orders import Handle, Shop, steps_run
from tests.support.refunds import RefundSteps, ask
from tests.support.repairs import Desk
from tests.support.steps import Steps
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from worker import Activities
from workflows.order_fulfillment import OrderFulfillment


async def tell(hooks: Hooks, refunds: RefundSteps, order_id: str, kind: str = "charge.refunded") -> None:
    await hooks.processed(await hooks.stripe((await refunds.payment(order_id)).payment_intent_id, kind=kind))


async def told(shop: Shop, order_id: str) -> list[str]:
    return [row.what for row in await shop.timeline(order_id)]


async def foreign(sessions: Sessions, order_id: str) -> list[Refund]:
    async with sessions() as session:
        query = select(Refund).where(Refund.order_id == order_id, Refund.by == "stripe")
        return list(await session.exec(query))


@pytest.mark.parametrize(("minor", "status"), [(1200, "PartiallyRefunded"), (2000, "Refunded")])
async def test_a_refund_in_the_dashboard_is_booked_once_and_told(
    hooks: Hooks, shop: Shop, refunds: RefundSteps, minor: int, status: str
) -> None:
    """However often Stripe tells it: one row, one event with the amount, one line in the timeline, one ticket."""
    order_id = await refunds.captured(to="record_delivered")
    await refunds.at_stripe(order_id, minor)
    for kind in ("charge.refunded", "refund.created", "charge.refunded"):
        await tell(hooks, refunds, order_id, kind)

    payment, order = await refunds.payment(order_id), await shop.order(order_id)
    assert (payment.refunded_minor, order.payment_status, order.hold) == (minor, status, None)
    given = [event.data for event in await shop.events(order_id) if event.type == "ordersaga.payment.refunded.v1"]
    assert [data["amount"] for data in given] == [f"{minor / 100:.2f}"]
    assert (await told(shop, order_id)).count(f"refunded at Stripe: {minor / 100:.2f} USD") == 1
    assert await refunds.tickets(order_id) == ["foreign_refund"]


async def test_each_of_two_refunds_in_the_dashboard_has_its_ticket(hooks: Hooks, refunds: RefundSteps) -> None:
    """The second one is not swallowed by the ticket of the first."""
    order_id = await refunds.captured(to="record_delivered")
    for minor in (300, 400):
        await refunds.at_stripe(order_id, minor)
        await tell(hooks, refunds, order_id)
    assert await refunds.tickets(order_id) == ["foreign_refund", "foreign_refund"]
    assert (await refunds.payment(order_id)).refunded_minor == 700


async def test_no_more_is_given_back_than_the_dashboard_has_left(
    hooks: Hooks, api: httpx.AsyncClient, refunds: RefundSteps
) -> None:
    """Our own refunds count what somebody else gave; a refund of ours is not taken for somebody else's."""
    order_id = await refunds.captured(to="record_delivered")
    await refunds.at_stripe(order_id, 1500)
    own = await refunds.put(order_id, minor=200)
    await refunds.send(own)
    await tell(hooks, refunds, order_id)
    refused = await ask(api, order_id, "3.01", key="k2")
    assert (refused.status_code, refused.json()["refundableAmount"]) == (409, "3.00")
    assert await refunds.state(own) is RefundState.SUCCEEDED
    assert (await refunds.payment(order_id)).refunded_minor == 1700


async def test_a_return_gives_back_only_the_rest(
    hooks: Hooks, shop: Shop, refunds: RefundSteps, steps: Steps
) -> None:
    """A dashboard refund, then a cancel: Stripe's ledger and the events have the captured amount in sum."""
    order_id = await refunds.captured()
    await refunds.at_stripe(order_id, 1200)
    await tell(hooks, refunds, order_id)
    await steps.run("return_payment", order_id)
    assert await refunds.given(order_id) == 2000
    given = [event.data for event in await shop.events(order_id) if event.type == "ordersaga.payment.refunded.v1"]
    assert [data["amount"] for data in given] == ["12.00", "8.00"]


async def test_a_refund_in_the_dashboard_that_is_pending_is_followed(
    hooks: Hooks, api: httpx.AsyncClient, shop: Shop, sessions: Sessions, refunds: RefundSteps, worker: None
) -> None:
    """By a workflow of its own, as one of ours: booked when it has arrived, and not before."""
    order_id = await refunds.captured(to="record_delivered")
    await refunds.stripe_answers("pending")
    await refunds.at_stripe(order_id, 700)
    await tell(hooks, refunds, order_id)
    (row,) = await foreign(sessions, order_id)
    assert (row.state, (await refunds.payment(order_id)).refunded_minor) == ("pending", 0)
    assert (await ask(api, order_id, "13.01", key="k2")).json()["refundableAmount"] == "13.00"

    refund = GiveRefund(order_id=order_id, key=row.key)
    assert (await refunds.send(refund)).state is RefundState.PENDING
    await refunds.bank_says(refund, "succeeded")
    assert (await refunds.follow(refund)).state is RefundState.SUCCEEDED
    assert (await refunds.payment(order_id)).refunded_minor == 700


async def test_a_refund_in_the_dashboard_that_fails_later_is_taken_off(hooks: Hooks, refunds: RefundSteps) -> None:
    """The money is with the shop again: books as before, and a person hears of it."""
    order_id = await refunds.captured(to="record_delivered")
    await refunds.at_stripe(order_id, 2000)
    await tell(hooks, refunds, order_id)
    payment = await refunds.payment(order_id)
    assert payment.state == "refunded"
    async with refunds._shop.sessions() as session:
        key = (await session.exec(select(Refund.key).where(Refund.order_id == order_id))).one()
    await refunds.bank_says(GiveRefund(order_id=order_id, key=key), "failed")
    await tell(hooks, refunds, order_id, "refund.failed")
    payment = await refunds.payment(order_id)
    assert (payment.state, payment.refunded_minor) == ("captured", 0)
    assert await refunds.tickets(order_id) == ["foreign_refund", "refund_failed"]


@pytest.mark.slow
async def test_the_daily_comparison_finds_a_refund_that_no_event_told(
    shop: Shop, activities: Activities, refunds: RefundSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a payment that rests for long: it was created outside of every window that is compared by its changes."""
    order_id = await refunds.captured(to="record_delivered")
    monkeypatch.setattr(payment_windows, "OVERLAP", timedelta(0))
    monkeypatch.setattr(payment_windows, "A_DAY", timedelta(seconds=2))  # so that some days ago is when it was made
    environment = ActivityEnvironment(shop.client)
    comparison = ReconcileOrders(unchanged_for=timedelta(0))

    async def compared() -> list[str]:
        while (await environment.run(activities.comparison.compare_payments, comparison)).more:
            pass
        return await refunds.tickets(order_id)

    assert await compared() == []
    changed = (await shop.order(order_id)).updated_at
    await refunds.at_stripe(order_id, 1200)
    await until(compared, ["foreign_refund"])
    assert (await shop.order(order_id)).updated_at > changed
    assert (await refunds.payment(order_id)).refunded_minor == 1200


@pytest.mark.slow
async def test_the_goods_of_a_refunded_order_stay_here_until_a_person_says_otherwise(
    hooks: Hooks, shop: Shop, desk: Desk, worker: None
) -> None:
    """Captured and refunded at Stripe while the order waits: no label is bought; a write-off lets the goods go."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    order_id = order.order_id
    await until(lambda: shop.status(order_id), OrderStatus.CONFIRMED)
    intent = (await shop.payment_intent(order_id))["id"]
    await shop.at_stripe("POST", f"payment_intents/{intent}/capture")
    await shop.at_stripe("POST", "refunds", payment_intent=intent)
    await hooks.processed(await hooks.stripe(intent, kind="charge.refunded"))
    row = await shop.order(order_id)
    assert (row.hold, row.payment_status) == ("refunded", "Refunded")
    await handle.signal(OrderFulfillment.ship_now)
    ticket = await desk.called(order_id, "payment_refunded")
    await until(lambda: looks(handle), 1)
    assert "ship_order" not in await steps_run(handle)

    await desk.settle(ticket, "write_off")

    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    row = await shop.order(order_id)
    assert (row.hold, row.payment_status) == (None, "Refunded")
    await hooks.processed(await hooks.stripe(intent, kind="charge.refunded"))
    assert (await shop.order(order_id)).hold is None
    assert await desk.kinds(order_id) == ["foreign_refund"]


async def looks(handle: Handle) -> int:
    return (await steps_run(handle)).count("keep_authorization")


async def test_an_order_that_is_refunded_and_then_canceled_ends_like_any_other(
    hooks: Hooks, shop: Shop, desk: Desk, worker: None
) -> None:
    """READY_TO_SHIP, refunded at Stripe: held; the cancel voids the label and has nothing to give back."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    intent = (await shop.payment_intent(order.order_id))["id"]
    await shop.at_stripe("POST", "refunds", payment_intent=intent)
    await hooks.processed(await hooks.stripe(intent, kind="charge.refunded"))
    assert (await shop.order(order.order_id)).hold == "refunded"
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    books = await shop.books(order.order_id)
    assert (books.payment_status, books.kept, books.held, books.labels, books.reserved) == ("Refunded", 0, 0, 0, 0)


@pytest.mark.parametrize("minor", [500, 2000])
async def test_a_capture_in_the_dashboard_is_the_orders_own_when_it_ships(
    shop: Shop, steps: Steps, refunds: RefundSteps, minor: int
) -> None:
    """Of the amount that is due it is as good as ours; of another one a person hears, with both amounts."""
    order = await shop.put(await shop.product())
    await steps.reach("ship_order", order.order_id)
    intent = (await shop.payment_intent(order.order_id))["id"]
    await shop.at_stripe("POST", f"payment_intents/{intent}/capture", amount_to_capture=str(minor))
    await steps.insist("capture_payment", order.order_id)
    assert (await refunds.payment(order.order_id)).captured_minor == minor
    assert await refunds.tickets(order.order_id) == ([] if minor == 2000 else ["foreign_capture"])
    assert await shop.status(order.order_id) is OrderStatus.READY_TO_SHIP


async def test_a_refund_before_our_capture_is_not_booked_away_by_it(
    shop: Shop, steps: Steps, refunds: RefundSteps
) -> None:
    """Captured and given back at Stripe before any event was heard: READY_TO_SHIP, but on hold and Refunded."""
    order = await shop.put(await shop.product())
    await steps.reach("ship_order", order.order_id)
    intent = (await shop.payment_intent(order.order_id))["id"]
    await shop.at_stripe("POST", f"payment_intents/{intent}/capture")
    await shop.at_stripe("POST", "refunds", payment_intent=intent)
    await steps.insist("capture_payment", order.order_id)
    row = await shop.order(order.order_id)
    assert (row.status, row.payment_status, row.hold) == ("READY_TO_SHIP", "Refunded", "refunded")
    assert sorted(await refunds.tickets(order.order_id)) == ["foreign_refund", "payment_refunded"]


async def test_a_void_in_the_dashboard_undoes_an_order_that_waits(hooks: Hooks, shop: Shop, worker: None) -> None:
    """Its workflow hears of it, finds no money, and ends the order before anything is bought."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    intent = (await shop.payment_intent(order.order_id))["id"]
    await shop.at_stripe("POST", f"payment_intents/{intent}/cancel")
    await hooks.stripe(intent, kind="payment_intent.canceled")
    assert await handle.result() is OrderStatus.CANCELED
    books = await shop.books(order.order_id)
    assert (books.payment_status, books.held, books.kept, books.reserved) == ("Voided", 0, 0, 0)
