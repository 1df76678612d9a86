"""A refund whose answer never arrives, that the bank takes its time with, or that meets a cancel: given back once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from adapters.clock import now
from adapters.stripe.connection import StripeConnection
from adapters.stripe.errors import KeyUsedUp
from adapters.stripe.refunds import GivenRefund, RefundGateway
from domain.errors import OurFault, TryAgain
from domain.refunds import GiveRefund, RefundState
from services.orders.book import OrderBook
from services.payments.tables import PaymentAttempt
from services.refunds import book as refund_book
from tests.support.orders import Shop
from tests.support.refunds import RefundSteps
from tests.support.steps import Steps
from worker import Activities

UNANSWERED = ["before_effect", "connection_reset", "after_effect_drop", "truncated_body"]
FAULTS = [*UNANSWERED, "rate_limit_429", "error_500_unsaved", "error_500_saved"]


@pytest.fixture
async def refunds(activities: Activities, shop: Shop, steps: Steps) -> AsyncIterator[RefundSteps]:
    """With `steps`, which takes every fault away at the end."""
    refunds = RefundSteps(activities, shop)
    yield refunds
    await refunds.stripe_answers("succeeded")


async def insist(refunds: RefundSteps, refund: GiveRefund, most: int = 8) -> int:
    """Attempts as the engine makes them, until one succeeds; how many it took."""
    for attempt in range(1, most + 1):
        try:
            await refunds.send(refund, attempt)
        except TryAgain:
            continue
        return attempt
    raise AssertionError(f"not done in {most} attempts")


async def keys(shop: Shop, refund: GiveRefund) -> int:
    """How many keys were taken for the refund."""
    async with shop.sessions() as session:
        query = select(PaymentAttempt).where(
            PaymentAttempt.order_id == refund.order_id, PaymentAttempt.operation == f"refund-{refund.key}"
        )
        return len(list(await session.exec(query)))


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_refund_without_a_good_answer_is_given_once(
    shop: Shop, steps: Steps, refunds: RefundSteps, fault: str
) -> None:
    """Whatever Stripe did or said: one refund at Stripe, one in our books, and a repeat writes nothing."""
    refund = await refunds.put(await refunds.captured())
    await shop.fault("stripe", "refunds.create", fault)
    with pytest.raises(TryAgain):
        await refunds.send(refund)
    assert await insist(refunds, refund) >= 1
    assert (await refunds.state(refund), await refunds.given(refund.order_id)) == (RefundState.SUCCEEDED, 500)
    written = await steps.written(refund.order_id)
    await refunds.send(refund)
    assert await steps.written(refund.order_id) == written
    assert (await refunds.payment(refund.order_id)).refunded_minor == 500


@pytest.mark.parametrize("fault", [*UNANSWERED, "error_500_unsaved"])
async def test_no_new_key_is_taken_while_the_old_one_may_take_effect(
    shop: Shop, refunds: RefundSteps, fault: str
) -> None:
    """A request without a good answer may be on its way: all of them share one key, so that only one can count."""
    refund = await refunds.put(await refunds.captured())
    await shop.fault("stripe", "refunds.create", fault, times=6)
    await insist(refunds, refund)

    assert (await keys(shop, refund), await refunds.given(refund.order_id)) == (1, 500)


class DeadKey(RefundGateway):
    """Stripe failed the first call without any effect, and keeps that failure under its key."""

    async def give(self, params: Any, key: str) -> GivenRefund:
        if key.endswith(":1"):
            raise KeyUsedUp("Stripe says api_error (HTTP 500)")
        return await super().give(params, key)


async def test_a_key_that_stripe_keeps_a_failure_under_is_replaced_after_a_look(
    shop: Shop, refunds: RefundSteps
) -> None:
    """The failure is replayed again and again, and no refund is in Stripe's list: the next attempt has a new key."""
    refund, stripe = await refunds.put(await refunds.captured()), StripeConnection(shop.settings)
    refunds.over(DeadKey(stripe))
    assert await insist(refunds, refund) == 5

    assert (await keys(shop, refund), await refunds.given(refund.order_id)) == (2, 500)
    await stripe.aclose()


@pytest.mark.parametrize(("fault", "taken"), [("after_effect_drop", 1), ("before_effect", 2)])
async def test_a_key_that_may_be_pruned_is_not_sent_again_before_looking(
    shop: Shop, refunds: RefundSteps, fault: str, taken: int
) -> None:
    """After a day Stripe may have forgotten the key: the refund is seen in the list, or sent under a new key."""
    refund = await refunds.put(await refunds.captured())
    await shop.fault("stripe", "refunds.create", fault)
    with pytest.raises(TryAgain):
        await refunds.send(refund)
    async with shop.sessions() as session, session.begin():
        old = update(PaymentAttempt).where(col(PaymentAttempt.order_id) == refund.order_id)
        await (await session.connection()).execute(old.values(first_sent_at=now() - timedelta(hours=25)))
    await refunds.send(refund)

    assert (await keys(shop, refund), await refunds.given(refund.order_id)) == (taken, 500)


async def test_a_refund_is_not_refused_before_a_look(shop: Shop, refunds: RefundSteps) -> None:
    """Stripe refuses to show its list, too: that is a fault of ours, and the refund may still have taken effect."""
    refund = await refunds.put(await refunds.captured())
    await shop.fault("stripe", "refunds.create", "refuse_400")
    await shop.fault("stripe", "refunds.list", "refuse_400")
    with pytest.raises(OurFault):
        await refunds.send(refund)
    assert await refunds.state(refund) is RefundState.ASKED
    await refunds.send(refund)
    assert (await refunds.state(refund), await refunds.given(refund.order_id)) == (RefundState.SUCCEEDED, 500)


async def test_two_refunds_of_one_amount_are_two(refunds: RefundSteps) -> None:
    """They are told apart by their keys, never by their amounts."""
    order_id = await refunds.captured()
    for key in ("first", "second"):
        await refunds.send(await refunds.put(order_id, key=key))

    assert (await refunds.payment(order_id)).refunded_minor == await refunds.given(order_id) == 1000


async def test_a_pending_refund_counts_when_the_bank_has_it(refunds: RefundSteps) -> None:
    """Until then it is looked at slowly, and the books say nothing."""
    refund = await refunds.put(await refunds.captured())
    await refunds.stripe_answers("pending")
    assert (await refunds.send(refund)).state is RefundState.PENDING
    with pytest.raises(TryAgain) as waits:
        await refunds.follow(refund)
    assert waits.value.delay is not None and waits.value.delay >= timedelta(seconds=30)
    assert (await refunds.payment(refund.order_id)).refunded_minor == 0
    await refunds.bank_says(refund, "succeeded")
    assert (await refunds.follow(refund)).state is RefundState.SUCCEEDED
    assert (await refunds.follow(refund)).state is RefundState.SUCCEEDED
    assert (await refunds.payment(refund.order_id)).refunded_minor == 500


@pytest.mark.parametrize("first", ["pending", "failed"])
async def test_a_failed_refund_makes_a_ticket(shop: Shop, refunds: RefundSteps, first: str) -> None:
    """At once or later: the row says why, a person is called, and the amount may be refunded another time."""
    refund = await refunds.put(await refunds.captured(), minor=2000)
    await refunds.stripe_answers(first)
    await refunds.send(refund)
    if first == "pending":
        await refunds.bank_says(refund, "failed")
        await refunds.follow(refund)

    assert (await refunds.state(refund), await refunds.given(refund.order_id)) == (RefundState.FAILED, 0)
    assert "expired_or_canceled_card" in ((await refunds.row(refund)).detail or "")
    assert await refunds.tickets(refund.order_id) == ["refund_failed"]
    order, payment = await shop.order(refund.order_id), await refunds.payment(refund.order_id)
    assert (order.needs_attention, order.payment_status, payment.refunded_minor) == (True, "Captured", 0)
    async with OrderBook(shop.sessions).locked(refund.order_id) as locked:
        assert await refund_book.refundable(locked, payment) == 2000


@pytest.mark.parametrize(("elsewhere", "tickets"), [(2000, []), (1800, ["refund_failed"])])
async def test_a_refund_for_which_nothing_is_left_fails(
    shop: Shop, refunds: RefundSteps, elsewhere: int, tickets: list[str]
) -> None:
    """Somebody refunded in Stripe's dashboard meanwhile; where not everything is back, a person is told."""
    refund = await refunds.put(await refunds.captured())
    await refunds.at_stripe(refund.order_id, elsewhere)
    await refunds.send(refund)

    assert await refunds.state(refund) is RefundState.FAILED
    assert await refunds.tickets(refund.order_id) == tickets
    assert await refunds.given(refund.order_id) == elsewhere
    if not tickets:
        assert (await refunds.row(refund)).detail == "the whole payment was given back meanwhile"


async def test_a_payment_that_is_disputed_meanwhile_is_not_refunded(refunds: RefundSteps) -> None:
    """Between the wish and the call: nothing is sent, and a person is told."""
    refund = await refunds.put(await refunds.captured())
    await refunds.hold(refund.order_id, "dispute")
    await refunds.send(refund)

    assert (await refunds.state(refund), await refunds.given(refund.order_id)) == (RefundState.FAILED, 0)
    assert await refunds.tickets(refund.order_id) == ["refund_failed"]


async def test_a_cancel_after_a_refund_gives_back_the_rest(shop: Shop, steps: Steps, refunds: RefundSteps) -> None:
    """5.00 by the refund, 15.00 by the undo."""
    refund = await refunds.put(await refunds.captured())
    await refunds.send(refund)
    await steps.run("return_payment", refund.order_id)

    await all_is_back(shop, refunds, refund.order_id)
    assert await refunds.state(refund) is RefundState.SUCCEEDED


async def test_a_refund_after_a_cancel_gives_nothing(shop: Shop, steps: Steps, refunds: RefundSteps) -> None:
    """The undo has given everything back: the refund fails with a plain detail, and nobody is called."""
    refund = await refunds.put(await refunds.captured())
    await steps.run("return_payment", refund.order_id)
    await refunds.send(refund)

    await all_is_back(shop, refunds, refund.order_id)
    assert (await refunds.state(refund), await refunds.tickets(refund.order_id)) == (RefundState.FAILED, [])
    assert "whole payment" in ((await refunds.row(refund)).detail or "")


@pytest.mark.parametrize("lost", ["before_effect", "after_effect_drop"])
async def test_a_cancel_and_a_refund_whose_answer_was_lost_give_back_the_total(
    shop: Shop, steps: Steps, refunds: RefundSteps, lost: str
) -> None:
    """Stripe may have the refund, our books not yet: whoever gives what, the sum is right, and nobody is called."""
    refund = await refunds.put(await refunds.captured())
    await shop.fault("stripe", "refunds.create", lost)
    with pytest.raises(TryAgain):
        await refunds.send(refund)
    with suppress(TryAgain):  # it may wait for the refund
        await steps.run("return_payment", refund.order_id)
    await refunds.send(refund)
    await steps.run("return_payment", refund.order_id)

    await all_is_back(shop, refunds, refund.order_id)
    assert await refunds.tickets(refund.order_id) == []


async def test_a_cancel_waits_for_a_pending_refund(shop: Shop, steps: Steps, refunds: RefundSteps) -> None:
    """The undo gives back the rest at once, and counts as done when the refund before it has arrived."""
    refund = await refunds.put(await refunds.captured())
    await refunds.stripe_answers("pending")
    await refunds.send(refund)
    await refunds.stripe_answers("succeeded")
    with pytest.raises(TryAgain):
        await steps.run("return_payment", refund.order_id)
    await refunds.bank_says(refund, "succeeded")
    await refunds.follow(refund)
    await steps.run("return_payment", refund.order_id)

    await all_is_back(shop, refunds, refund.order_id)


async def all_is_back(shop: Shop, refunds: RefundSteps, order_id: str) -> None:
    """20.00 by Stripe's ledger and by our books."""
    payment = await refunds.payment(order_id)
    assert (payment.state, payment.captured_minor, payment.refunded_minor) == ("refunded", 2000, 2000)
    assert await refunds.given(order_id) == 2000
    assert (await shop.order(order_id)).payment_status == "Refunded"


async def test_a_cancel_waits_for_a_refund_that_may_be_on_its_way(
    shop: Shop, steps: Steps, refunds: RefundSteps
) -> None:
    """Sent and not in Stripe's list yet: the undo counts it first, so that it never asks for more than is left."""
    refund = await refunds.put(await refunds.captured())
    await shop.fault("stripe", "refunds.create", "before_effect")
    with pytest.raises(TryAgain):
        await refunds.send(refund)
    for _ in range(2):
        with pytest.raises(TryAgain):
            await steps.run("return_payment", refund.order_id)
    assert await refunds.given(refund.order_id) == 0
    await refunds.send(refund)
    await steps.run("return_payment", refund.order_id)

    await all_is_back(shop, refunds, refund.order_id)
    assert await refunds.state(refund) is RefundState.SUCCEEDED
