"""A call that was saved wrong, and refused, is saved again as it is right today: once, and never before a look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from sqlmodel import col, select

from adapters.clock import now
from domain.errors import CallRefused, OurFault, TryAgain
from services.payments.tables import PaymentAttempt
from services.shipping.tables import ShipmentRow
from tests.support.orders import Shop
from tests.support.steps import Steps

OLD = {"metadata": {"deploy": "wrong"}}
"""Of the deploy that sent the wrong parameters; Stripe takes metadata with every call but `cancel`."""


class Call(NamedTuple):
    operation: str
    at_stripe: str
    after: str  # the last step that is done
    step: str  # the step that makes the call
    effects: list[str]


CALLS = [
    Call("create", "payment_intents.create", "reserve_inventory", "authorize_payment", ["authorize"]),
    Call("confirm", "payment_intents.confirm", "reserve_inventory", "authorize_payment", ["authorize"]),
    Call("capture", "payment_intents.capture", "ship_order", "capture_payment", ["authorize", "capture"]),
    Call("void", "payment_intents.cancel", "authorize_payment", "return_payment", ["authorize", "void"]),
    Call("refund", "refunds.create", "capture_payment", "return_payment", ["authorize", "capture", "refund"]),
]
IDS = [call.operation for call in CALLS]


async def attempts(shop: Shop, order_id: str, operation: str) -> list[PaymentAttempt]:
    async with shop.sessions() as session:
        calls = PaymentAttempt
        query = select(calls).where(calls.order_id == order_id, calls.operation == operation)
        return list(await session.exec(query.order_by(col(calls.attempt))))


async def rewrite(shop: Shop, order_id: str, operation: str, params: dict[str, Any]) -> None:
    """As if the deploy before this one had saved it otherwise."""
    async with shop.sessions() as session, session.begin():
        row = await session.get_one(PaymentAttempt, (order_id, operation, 1))
        row.params = params
        session.add(row)


async def refused_once(shop: Shop, steps: Steps, call: Call) -> str:
    """An order whose call was refused with a fresh 400."""
    order = await shop.put(await shop.product())
    await steps.reach(call.after, order.order_id)
    await shop.fault("stripe", call.at_stripe, "refuse_400", code="parameter_unknown")
    with pytest.raises(CallRefused):
        await steps.run(call.step, order.order_id)
    return order.order_id


@pytest.mark.parametrize("call", CALLS, ids=IDS)
async def test_what_a_wrong_deploy_saved_is_replaced_by_the_mended_one(shop: Shop, steps: Steps, call: Call) -> None:
    """Refused with a fresh 400, and marked so after a look: the next attempt has today's parameters, one effect."""
    order_id = await refused_once(shop, steps, call)
    (first,) = await attempts(shop, order_id, call.operation)
    assert first.refused_at is not None
    await rewrite(shop, order_id, call.operation, first.params | OLD)

    await steps.run(call.step, order_id, attempt=2)

    wrong, right = await attempts(shop, order_id, call.operation)
    assert (wrong.params, right.params) == (first.params | OLD, first.params)
    assert (wrong.attempt, right.attempt, right.refused_at) == (1, 2, None)
    assert await steps.effects("stripe", order_id) == call.effects


@pytest.mark.parametrize("call", CALLS, ids=IDS)
async def test_what_was_right_all_along_is_sent_again_as_it_is(shop: Shop, steps: Steps, call: Call) -> None:
    """The account was at fault: after any number of refusals there is one business attempt, and one effect."""
    order_id = await refused_once(shop, steps, call)
    await shop.fault("stripe", call.at_stripe, "refuse_400", times=5)
    for attempt in range(2, 7):  # beyond those after which a call with an unknown outcome gets another key
        with pytest.raises(CallRefused):
            await steps.run(call.step, order_id, attempt=attempt)
    await steps.run(call.step, order_id, attempt=7)
    (only,) = await attempts(shop, order_id, call.operation)
    assert (only.attempt, only.refused_at) == (1, None)
    assert await steps.effects("stripe", order_id) == call.effects


@pytest.mark.parametrize("call", CALLS, ids=IDS)
async def test_a_refusal_behind_a_lost_answer_is_looked_at_first(shop: Shop, steps: Steps, call: Call) -> None:
    """It took effect, its answer was lost, then it is refused: it is not marked as refused, nothing is done twice."""
    order = await shop.put(await shop.product())
    await steps.reach(call.after, order.order_id)
    await shop.fault("stripe", call.at_stripe, "after_effect_drop")
    with pytest.raises(TryAgain):
        await steps.run(call.step, order.order_id)
    await shop.fault("stripe", call.at_stripe, "refuse_400")
    for attempt in range(2, 4):
        try:
            await steps.run(call.step, order.order_id, attempt=attempt)
        except TryAgain:
            continue
        break
    (only,) = await attempts(shop, order.order_id, call.operation)
    assert (only.attempt, only.refused_at) == (1, None)
    assert await steps.effects("stripe", order.order_id) == call.effects


async def test_nothing_is_marked_as_refused_before_a_look(shop: Shop, steps: Steps) -> None:
    """Stripe refuses to show anything either: the call keeps its key."""
    order = await shop.put(await shop.product())
    await steps.reach("reserve_inventory", order.order_id)
    await shop.fault("stripe", "payment_intents.create", "refuse_400")
    await shop.fault("stripe", "payment_intents.list", "refuse_400")
    with pytest.raises(OurFault):
        await steps.run("authorize_payment", order.order_id)
    (only,) = await attempts(shop, order.order_id, "create")
    assert only.refused_at is None


async def test_an_undo_does_not_send_what_was_refused(shop: Shop, steps: Steps) -> None:
    """It would make the PaymentIntent now that the fault is mended; looking shows that there is none."""
    order_id = await refused_once(shop, steps, CALLS[0])
    await steps.run("return_payment", order_id)
    rows = await steps.written(order_id)
    assert (rows["Payment"], rows["stripe"]) == ([], [])


async def test_a_shipment_that_can_never_be_bought_is_made_anew(shop: Shop, steps: Steps) -> None:
    """Its purchase is refused each time: another one takes over once none can arrive any more."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    await shop.fault("carrier", "shipments.buy", "refuse_400", times=2, code="SHIPMENT.INVALID_PARAMS")
    first = ""
    for _ in range(2):  # within the deadline of the purchase it stays the same shipment
        with pytest.raises(CallRefused):
            await steps.run("ship_order", order.order_id)
        first = first or await shop.shipment_id(order.order_id)
        assert await shop.shipment_id(order.order_id) == first
    async with shop.sessions() as session, session.begin():
        row = await session.get_one(ShipmentRow, order.order_id)
        row.buy_sent_at = now() - timedelta(seconds=shop.settings.carrier_timeout + 3)
        row.buy_deadline = row.buy_sent_at + timedelta(seconds=shop.settings.carrier_timeout)
        session.add(row)
    await steps.run("ship_order", order.order_id)
    assert await shop.shipment_id(order.order_id) != first
    assert await steps.effects("carrier", order.order_id) == ["label_bought"]


async def test_a_carrier_without_funds_keeps_its_shipment(shop: Shop, steps: Steps) -> None:
    """402 is not about the shipment."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    await shop.fault("carrier", "shipments.buy", "refuse_402")
    with pytest.raises(OurFault):
        await steps.run("ship_order", order.order_id)
    first = await shop.shipment_id(order.order_id)
    await steps.run("ship_order", order.order_id)
    assert await shop.shipment_id(order.order_id) == first
