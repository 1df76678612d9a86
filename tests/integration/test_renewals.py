"""Authorizations that end before the order ships: held anew on the card that was kept, never twice at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from adapters.clock import now
from adapters.postgres.database import Sessions
from domain.commands import Authorization, AuthorizationState, Hold, OrderRef, PaymentTry
from domain.errors import PaymentDeclined, TryAgain
from services.orders.tables import Order
from services.payments.tables import Payment, PaymentAttempt
from tests.support.orders import Shop
from tests.support.steps import Steps
from tests.support.waiting import until

FAULTS = ["before_effect", "after_effect_drop", "error_500_saved", "error_500_unsaved", "rate_limit_429"]
CALLS = ["payment_intents.cancel", "payment_intents.create", "payment_intents.confirm"]


async def authorized(shop: Shop, steps: Steps, *, method: str = "pm_card_visa", keep_card: bool = True) -> str:
    """A confirmed order; its card is kept at Stripe."""
    order = await shop.put(await shop.product(), payment_method=method)
    await steps.run("reserve_inventory", order.order_id)
    first = PaymentTry(order_id=order.order_id, keep_card=keep_card)
    assert (await steps.run_with("authorize_payment", first)).state is AuthorizationState.AUTHORIZED
    return order.order_id


def renewal(order_id: str) -> PaymentTry:
    return PaymentTry(order_id=order_id, round=2, renew=True)


async def insist(steps: Steps, ref: PaymentTry) -> Authorization:
    for attempt in range(1, 8):
        try:
            answer: Authorization = await steps.run_with("keep_authorization", ref, attempt=attempt)
        except TryAgain:
            continue
        return answer
    raise AssertionError("the renewal did not succeed")


async def states(sessions: Sessions, order_id: str) -> list[str]:
    async with sessions() as session:
        query = select(Payment).where(Payment.order_id == order_id).order_by(col(Payment.attempt))
        return [payment.state for payment in await session.exec(query)]


async def no_longer_held(shop: Shop, order_id: str) -> None:
    """The bank has let the money go, as at the end of an authorization."""
    intent = await shop.payment_intent(order_id)
    url = f"{shop.stack.urls.stripe}/_control/payment_intents/{intent['id']}/expire"
    (await shop.http.post(url, json={})).raise_for_status()


async def test_a_renewal_cancels_the_former_authorization_first(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """Stripe's ledger: authorized, voided, authorized; our books name both, one of them live."""
    order_id = await authorized(shop, steps)
    answer = await steps.run_with("keep_authorization", renewal(order_id))
    assert (answer.state, answer.round) == (AuthorizationState.AUTHORIZED, 2)
    assert await steps.effects("stripe", order_id) == ["authorize", "void", "authorize"]
    assert await states(sessions, order_id) == ["voided", "authorized"]
    assert [row.what for row in await shop.timeline(order_id)][-1] == "authorization renewed"
    written = await steps.written(order_id)
    await steps.run_with("keep_authorization", renewal(order_id))
    assert await steps.written(order_id) == written, "a repeat writes nothing and charges nothing"


async def test_an_authorization_that_holds_is_left_alone(shop: Shop, steps: Steps) -> None:
    """A look without need changes nothing, and says how long the money is held."""
    order_id = await authorized(shop, steps)
    answer = await steps.run_with("keep_authorization", PaymentTry(order_id=order_id, round=2))
    assert answer.capture_before is not None
    assert timedelta(days=6) < answer.capture_before - now() <= timedelta(days=7)
    assert (answer.round, await steps.effects("stripe", order_id)) == (1, ["authorize"])


async def test_an_authorization_that_has_expired_is_held_anew(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """Found by a look, whether a webhook told or not."""
    order_id = await authorized(shop, steps)
    await no_longer_held(shop, order_id)
    answer = await steps.run_with("keep_authorization", PaymentTry(order_id=order_id, round=2))
    assert answer.round == 2
    assert await steps.effects("stripe", order_id) == ["authorize", "expire", "authorize"]


async def test_a_payment_that_a_person_canceled_is_not_charged_again(shop: Shop, steps: Steps) -> None:
    """Somebody at the shop has canceled it at Stripe, maybe for fraud: that ends the order, not the authorization."""
    order_id = await authorized(shop, steps)
    intent = await shop.payment_intent(order_id)
    await shop.at_stripe("POST", f"payment_intents/{intent['id']}/cancel", cancellation_reason="fraudulent")
    for ref in (PaymentTry(order_id=order_id, round=2), renewal(order_id)):
        with pytest.raises(PaymentDeclined, match="canceled at Stripe"):
            await steps.run_with("keep_authorization", ref)
    assert await steps.effects("stripe", order_id) == ["authorize", "void"]


async def test_a_payment_that_a_person_captured_counts_as_held(shop: Shop, steps: Steps) -> None:
    """In the dashboard, before we did: the look leaves it alone, and our capture finds it done."""
    order_id = await authorized(shop, steps)
    intent = await shop.payment_intent(order_id)
    await shop.at_stripe("POST", f"payment_intents/{intent['id']}/capture")
    assert (await steps.run_with("keep_authorization", renewal(order_id))).round == 1
    await steps.run("ship_order", order_id)
    await steps.run("capture_payment", order_id)
    assert await shop.money(order_id) == (0, 2000)


async def test_a_review_is_not_ended_by_a_renewal(shop: Shop, steps: Steps) -> None:
    """Canceling the intent would close the review; when the hold ends under review, the order ends with it."""
    order_id = await authorized(shop, steps, method="pm_card_riskLevelElevated")
    answer = await steps.run_with("keep_authorization", renewal(order_id))
    assert (answer.round, answer.hold) == (1, Hold.REVIEW)
    await no_longer_held(shop, order_id)
    with pytest.raises(PaymentDeclined):
        await steps.run_with("keep_authorization", renewal(order_id))
    assert await steps.effects("stripe", order_id) == ["authorize", "expire"]


async def test_a_stripe_customer_is_made_although_stripe_keeps_a_failure(shop: Shop, steps: Steps) -> None:
    """A saved 500 under the first key: a second Customer moves no money, so another key is taken."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    await shop.fault("stripe", "customers.create", "error_500_saved")
    first = PaymentTry(order_id=order.order_id, keep_card=True)
    for attempt in range(1, 6):
        try:
            answer = await steps.run_with("authorize_payment", first, attempt=attempt)
        except TryAgain:
            continue
        break
    assert answer.state is AuthorizationState.AUTHORIZED


async def test_a_card_that_was_not_kept_cannot_be_charged_again(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """As long as the money is held it is left so; once it is gone, that is an answer: the order is undone."""
    order_id = await authorized(shop, steps, keep_card=False)
    assert (await steps.run_with("keep_authorization", renewal(order_id))).round == 1
    await no_longer_held(shop, order_id)
    with pytest.raises(PaymentDeclined, match="not kept"):
        await steps.run_with("keep_authorization", renewal(order_id))


async def test_a_bank_that_wants_the_customer_ends_the_renewal(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """Nobody is at hand for 3-D Secure: declined, nothing is held, and the undo has nothing to give back."""
    order_id = await authorized(shop, steps)
    await decline_from_now_on(shop, order_id, "authentication_required")
    with pytest.raises(PaymentDeclined):
        await steps.run_with("keep_authorization", renewal(order_id))
    await steps.run("return_payment", order_id)
    assert await shop.money(order_id) == (0, 0)


async def decline_from_now_on(shop: Shop, order_id: str, code: str) -> None:
    card = (await shop.payment_intent(order_id))["payment_method"]
    url = f"{shop.stack.urls.stripe}/_control/payment_methods/{card}"
    (await shop.http.post(url, json={"decline_code": code})).raise_for_status()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
async def test_an_unknown_outcome_in_a_renewal_never_holds_twice(
    shop: Shop, steps: Steps, sessions: Sessions, call: str, fault: str
) -> None:
    """Whichever of its calls gets no good answer: two authorizations, one after the other."""
    order_id = await authorized(shop, steps)
    await shop.fault("stripe", call, fault)
    with pytest.raises(TryAgain):
        await steps.run_with("keep_authorization", renewal(order_id))
    assert (await insist(steps, renewal(order_id))).round == 2
    assert await steps.effects("stripe", order_id) == ["authorize", "void", "authorize"]
    assert await states(sessions, order_id) == ["voided", "authorized"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
async def test_an_undo_behind_an_interrupted_renewal_gives_all_back(
    shop: Shop, steps: Steps, call: str, fault: str
) -> None:
    """Also a second PaymentIntent whose id never arrived here; a late attempt of the renewal charges nothing."""
    order_id = await authorized(shop, steps)
    await shop.fault("stripe", call, fault)
    with pytest.raises(TryAgain):
        await steps.run_with("keep_authorization", renewal(order_id))
    await steps.insist("return_payment", order_id)
    assert await shop.money(order_id) == (0, 0)
    with pytest.raises(Exception, match="undone"):
        await steps.run_with("keep_authorization", renewal(order_id), attempt=5)
    assert await shop.money(order_id) == (0, 0)


async def test_captures_the_renewed_authorization(shop: Shop, steps: Steps) -> None:
    """The money is taken once, from the payment that is live."""
    order_id = await authorized(shop, steps)
    await steps.run_with("keep_authorization", renewal(order_id))
    await steps.run("ship_order", order_id)
    await steps.run("capture_payment", order_id)
    assert await shop.money(order_id) == (0, 2000)


async def test_a_return_that_is_done_looks_again_when_asked_to(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """Late money: a payment of the order that no book names is found by our reference, and given back."""
    order_id = await authorized(shop, steps, keep_card=False)
    await steps.run("return_payment", order_id)
    params = {
        "amount": "700", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa",
        "metadata[order_id]": order_id, "allowed_payment_method_types[0]": "card",
    }  # fmt: skip
    assert (await shop.at_stripe("POST", "payment_intents", **params))["status"] == "succeeded"
    await steps.run("return_payment", order_id)
    assert (await shop.money(order_id))[1] == 700, "a step that is done is not run again"

    async def left() -> tuple[int, int]:
        await steps.run_with("return_payment", OrderRef(order_id=order_id, look_again=True))
        return await shop.money(order_id)

    await until(left, (0, 0))  # Stripe's search lags behind


async def test_a_saved_call_of_a_former_version_is_sent_as_it_was(
    shop: Shop, steps: Steps, sessions: Sessions
) -> None:
    """A deploy that changes the parameters between two attempts: the saved ones are sent, under the same key."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    await shop.fault("stripe", "payment_intents.create", "after_effect_drop")
    with pytest.raises(TryAgain):
        await steps.run("authorize_payment", order.order_id)
    calls, method = PaymentAttempt, "pm_card_mastercard"
    async with sessions() as session, session.begin():
        await session.exec(update(Order).where(col(Order.order_id) == order.order_id).values(payment_method=method))
        saved = (await session.exec(select(calls).where(calls.order_id == order.order_id))).one()
    assert saved.params["payment_method"] == "pm_card_visa"
    await steps.insist("authorize_payment", order.order_id)
    assert await steps.effects("stripe", order.order_id) == ["authorize"]
