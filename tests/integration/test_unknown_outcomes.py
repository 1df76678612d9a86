"""An answer that never arrives, or that says nothing: the repeated step has exactly one effect at the far end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest
from _pytest.mark import ParameterSet
from sqlalchemy import update
from sqlmodel import col

from adapters.clock import now
from domain.errors import OrderSagaError, ShipmentRefused, StepUndone, TryAgain
from domain.void_commands import VoidedShipment, VoidOutcome
from services.payments.tables import PaymentAttempt
from services.shipping.tables import ShipmentRow
from tests.support.held_gateways import LateAttempts
from tests.support.orders import Shop
from tests.support.steps import WAY, Steps

NO_EFFECT = ("before_effect", "connection_reset", "error_500_unsaved")
NO_ANSWER = ("after_effect_drop", "truncated_body", "error_500_saved")  # and yet it took effect
FAULTS = [*NO_EFFECT, *NO_ANSWER, "rate_limit_429"]

PAID, SHIPPED = ["authorize", "capture"], ["label_bought"]
VOIDED_LABEL = ["label_bought", "void_requested", "label_voided"]


class Case(NamedTuple):
    far_end: str
    operation: str
    after: str  # the last step that is done
    step: str  # the step that makes the call
    effects: list[str]


CASES = [
    Case("stripe", "payment_intents.create", "reserve_inventory", "authorize_payment", ["authorize"]),
    Case("stripe", "payment_intents.confirm", "reserve_inventory", "authorize_payment", ["authorize"]),
    Case("stripe", "payment_intents.capture", "ship_order", "capture_payment", PAID),
    Case("stripe", "payment_intents.cancel", "authorize_payment", "return_payment", ["authorize", "void"]),
    Case("stripe", "payment_intents.retrieve", "authorize_payment", "return_payment", ["authorize", "void"]),
    Case("stripe", "refunds.create", "capture_payment", "return_payment", [*PAID, "refund"]),
    Case("stripe", "refunds.list", "capture_payment", "return_payment", [*PAID, "refund"]),
    Case("carrier", "shipments.create", "authorize_payment", "ship_order", SHIPPED),
    Case("carrier", "shipments.buy", "authorize_payment", "ship_order", SHIPPED),
    Case("carrier", "shipments.refund", "ship_order", "cancel_shipment", VOIDED_LABEL),
]


def covering() -> Iterator[ParameterSet]:
    """Each call with one fault of each class, in turn, and refused for now; `make proof` runs all."""
    for number, (case, fault) in enumerate(product(CASES, FAULTS)):
        turn = number // len(FAULTS) % 3
        chosen = fault in (NO_EFFECT[turn], NO_ANSWER[turn], "rate_limit_429")
        marks = () if chosen else (pytest.mark.long,)
        yield pytest.param(case, fault, id=f"{case.step}-{case.operation}-{fault}", marks=marks)


@pytest.mark.parametrize(("case", "fault"), list(covering()))
async def test_a_call_without_a_good_answer_has_one_effect(shop: Shop, steps: Steps, case: Case, fault: str) -> None:
    """Whatever the far end did or said, the engine's next attempts end with one effect, and with our books right."""
    order = await shop.put(await shop.product())
    await steps.reach(case.after, order.order_id)
    await shop.fault(case.far_end, case.operation, fault)
    with pytest.raises(TryAgain):
        await steps.run(case.step, order.order_id)
    assert await steps.insist(case.step, order.order_id) >= 1
    assert await steps.effects(case.far_end, order.order_id) == case.effects
    assert len(await _payments_at_stripe(shop, order.order_id)) == 1
    written = await steps.written(order.order_id)
    await steps.run(case.step, order.order_id)
    assert await steps.written(order.order_id) == written


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_undo_settles_a_creation_whose_answer_was_lost(shop: Shop, steps: Steps, fault: str) -> None:
    """No id ever arrived here: the undo finds the PaymentIntent all the same, and it can hold nothing any more."""
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", order.order_id)
    await shop.fault("stripe", "payment_intents.create", fault)
    with pytest.raises(TryAgain):
        await steps.run("authorize_payment", order.order_id)
    await steps.insist("return_payment", order.order_id)
    payments = (await steps.written(order.order_id))["Payment"]
    assert [payment["state"] for payment in payments] == ["voided"]
    assert await _payments_at_stripe(shop, order.order_id) == ["canceled"]
    assert await steps.effects("stripe", order.order_id) == []


@pytest.mark.parametrize(
    ("step", "after", "fault", "operation", "sent"),
    [
        ("authorize_payment", "reserve_inventory", "after_effect_drop", "payment_intents.create", "create sent"),
        ("authorize_payment", "reserve_inventory", "after_effect_drop", "payment_intents.confirm", "confirm sent"),
        ("capture_payment", "ship_order", "after_effect_drop", "payment_intents.capture", "capture sent"),
        ("return_payment", "authorize_payment", "after_effect_drop", "payment_intents.cancel", "cancel sent"),
        ("return_payment", "capture_payment", "after_effect_drop", "refunds.create", "refund sent"),
    ],
)
async def test_a_key_that_may_be_pruned_is_not_sent_again_before_looking(
    shop: Shop, steps: Steps, late: LateAttempts, step: str, after: str, fault: str, operation: str, sent: str
) -> None:
    """After 23 hours Stripe may have forgotten the key and would do it twice: the step looks, and sees it done."""
    order = await shop.put(await shop.product())
    await steps.reach(after, order.order_id)
    await shop.fault("stripe", operation, fault)
    with pytest.raises(TryAgain):
        await late.run(step, order.order_id)
    async with shop.sessions() as session, session.begin():
        calls = PaymentAttempt
        old = now() - timedelta(hours=25)
        await (await session.connection()).execute(
            update(calls).where(col(calls.order_id) == order.order_id).values(first_sent_at=old)
        )
    await late.run(step, order.order_id)
    assert late.stripe.gates.passed[sent] == 1
    effects = await steps.effects("stripe", order.order_id)
    assert len(effects) == len(set(effects)) > 0


async def test_a_lost_purchase_is_waited_for_until_its_deadline(shop: Shop, steps: Steps) -> None:
    """The purchase was sent and never arrived: the undo answers "nothing" only when it cannot arrive any more."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    await shop.fault("carrier", "shipments.buy", "before_effect")
    with pytest.raises(TryAgain):
        await steps.run("ship_order", order.order_id)
    with pytest.raises(TryAgain) as waits:
        await steps.run("cancel_shipment", order.order_id)
    assert waits.value.delay is not None
    assert timedelta(0) < waits.value.delay <= timedelta(seconds=shop.settings.carrier_timeout + 2)
    async with shop.sessions() as session, session.begin():
        row = await session.get_one(ShipmentRow, order.order_id)
        row.buy_sent_at = now() - timedelta(seconds=shop.settings.carrier_timeout + 3)
        row.buy_deadline = row.buy_sent_at + timedelta(seconds=shop.settings.carrier_timeout)
        session.add(row)
    assert await steps.run("cancel_shipment", order.order_id) == VoidedShipment(outcome=VoidOutcome.NOTHING)
    with pytest.raises(StepUndone):
        await steps.run("ship_order", order.order_id)
    assert await steps.effects("carrier", order.order_id) == []


async def test_a_purchase_that_arrives_after_the_undo_looked_is_voided(shop: Shop, steps: Steps) -> None:
    """The answer of the purchase was lost, the label exists: the undo finds and voids it."""
    order = await shop.put(await shop.product())
    await steps.reach("authorize_payment", order.order_id)
    await shop.fault("carrier", "shipments.buy", "after_effect_drop")
    with pytest.raises(TryAgain):
        await steps.run("ship_order", order.order_id)
    assert await steps.run("cancel_shipment", order.order_id) == VoidedShipment(outcome=VoidOutcome.VOIDED)
    assert await steps.effects("carrier", order.order_id) == VOIDED_LABEL


async def test_a_refused_address_leaves_nothing_to_wait_for(shop: Shop, steps: Steps) -> None:
    """Refused is not unknown: the undo that follows comes back at once."""
    order = await shop.put(
        await shop.product(), address={"street1": "1 UNDELIVERABLE Road", "zip": "00000", "country": "US"}
    )
    await steps.reach("authorize_payment", order.order_id)
    with pytest.raises(ShipmentRefused) as refused:
        await steps.run("ship_order", order.order_id)
    assert refused.value.code == "address_refused"
    assert await steps.run("cancel_shipment", order.order_id) == VoidedShipment(outcome=VoidOutcome.NOTHING)


@pytest.mark.parametrize("step", ["authorize_payment", "capture_payment"])
async def test_an_authorization_that_is_gone_is_a_refusal(shop: Shop, steps: Steps, step: str) -> None:
    """The bank let go of the hold, or somebody canceled the payment at Stripe: refused, not retried for ever."""
    order = await shop.put(await shop.product())
    before = WAY[WAY.index(step) - 1]
    await steps.reach(before, order.order_id)
    if step == "authorize_payment":
        await shop.fault("stripe", "payment_intents.confirm", "before_effect")
        with pytest.raises(TryAgain):
            await steps.run(step, order.order_id)
    payment = (await steps.written(order.order_id))["Payment"][0]["payment_intent_id"]
    await _ask_stripe(shop, "POST", f"payment_intents/{payment}/cancel")
    with pytest.raises(OrderSagaError) as refused:
        await steps.run(step, order.order_id)
    assert (
        refused.value.code == {"authorize_payment": "payment_canceled", "capture_payment": "authorization_gone"}[step]
    )
    assert "capture" not in await steps.effects("stripe", order.order_id)


async def _payments_at_stripe(shop: Shop, order_id: str) -> list[str]:
    """The status of every PaymentIntent that was ever made for the order."""
    made = await _ask_stripe(shop, "GET", "payment_intents?limit=100")
    return [one["status"] for one in made["data"] if one["metadata"].get("order_id") == order_id]


async def _ask_stripe(shop: Shop, method: str, path: str) -> dict[str, Any]:
    """As a person would in Stripe's dashboard."""
    headers = {"Authorization": f"Bearer {shop.settings.stripe_api_key.get_secret_value()}"}
    answer = await shop.http.request(method, f"{shop.stack.urls.stripe}/v1/{path}", headers=headers)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found
