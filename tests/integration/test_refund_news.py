"""Webhooks about a payment with refunds: what Stripe says now is booked, whichever event told it, and once."""

from __future__ import annotations

import pytest

from domain.refunds import GiveRefund, RefundState
from tests.support.orders import Shop
from tests.support.refunds import RefundSteps
from tests.support.webhooks import Hooks


async def tell(hooks: Hooks, refunds: RefundSteps, refund: GiveRefund, kind: str) -> None:
    payment = await refunds.payment(refund.order_id)
    await hooks.processed(await hooks.stripe(payment.payment_intent_id, kind=kind))


@pytest.mark.parametrize("minor", [500, 2000])
async def test_a_refund_that_fails_after_it_succeeded_is_taken_off_the_books(
    hooks: Hooks, shop: Shop, refunds: RefundSteps, minor: int
) -> None:
    """Banks send refunds back for weeks: books and status are as before, and a person is called once."""
    refund = await refunds.put(await refunds.captured(), minor=minor)
    await refunds.send(refund)
    await refunds.bank_says(refund, "failed")
    for _ in range(2):
        await tell(hooks, refunds, refund, "refund.failed")

    payment = await refunds.payment(refund.order_id)
    assert (payment.state, payment.refunded_minor) == ("captured", 0)
    assert (await shop.order(refund.order_id)).payment_status == "Captured"
    assert await refunds.state(refund) is RefundState.FAILED
    assert await refunds.tickets(refund.order_id) == ["refund_failed"]
    assert [row.what for row in await shop.timeline(refund.order_id)][-2].startswith("refund of")


async def test_a_pending_refund_is_booked_when_stripe_tells(hooks: Hooks, refunds: RefundSteps) -> None:
    """Its workflow would look some time later, and finds it done."""
    refund = await refunds.put(await refunds.captured())
    await refunds.stripe_answers("pending")
    await refunds.send(refund)
    await tell(hooks, refunds, refund, "refund.created")
    assert await refunds.state(refund) is RefundState.PENDING
    await refunds.bank_says(refund, "succeeded")
    for _ in range(2):
        await tell(hooks, refunds, refund, "refund.updated")

    assert await refunds.state(refund) is RefundState.SUCCEEDED
    assert (await refunds.payment(refund.order_id)).refunded_minor == 500
    assert (await refunds.follow(refund)).state is RefundState.SUCCEEDED


async def test_news_of_a_payment_tell_nothing_of_refunds_that_were_not_sent(
    hooks: Hooks, refunds: RefundSteps
) -> None:
    """A refund that was only asked for stays as it is, also where somebody gives the same amount in the dashboard."""
    refund = await refunds.put(await refunds.captured())
    await refunds.at_stripe(refund.order_id, 500)
    await tell(hooks, refunds, refund, "charge.refunded")

    assert await refunds.state(refund) is RefundState.ASKED
    assert (await refunds.payment(refund.order_id)).refunded_minor == 500
