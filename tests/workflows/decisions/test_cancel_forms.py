"""The cancel table, row by row, for each form in which an open order can be canceled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from temporalio.client import WorkflowUpdateStage

from domain import cancellation
from domain.cancellation import Decision
from domain.commands import CancelRequest
from domain.order_states import OrderStatus
from tests.support.any_shop import AnyShop
from tests.support.cancel_table import (
    HELD,
    WAYS,
    Way,
    assert_ends_as,
    by_native_cancellation,
    by_signal_with_a_string,
    by_signal_with_an_object,
    order_in,
)
from tests.support.fakes import StepFaults
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

ACCEPTED = WorkflowUpdateStage.ACCEPTED
SIGNALS = tuple(way for way in WAYS if way is not by_native_cancellation)


@pytest.mark.parametrize("status", HELD)
async def test_the_update_answers_what_the_table_says(shop: AnyShop, faults: StepFaults, status: OrderStatus) -> None:
    """The caller learns the rule's decision and code, in every state of an open order."""
    order_id, handle = await order_in(status, shop, faults)
    asking = await handle.start_update(
        OrderFulfillment.cancel, CancelRequest(reason="asked by the API", by="api"), wait_for_stage=ACCEPTED
    )
    joins = cancellation.TABLE[status].decision is Decision.JOINED
    if (step := HELD[status]) is not None and not joins:
        faults.release(step)
    answer = await asking.result()
    rule = cancellation.TABLE[status]
    if rule.decision is Decision.CARRIER_DECIDES:
        rule = cancellation.LABEL_VOIDED
    assert (answer.accepted, answer.code) == (rule.decision is not Decision.REFUSED, rule.code)
    if joins and step is not None:
        faults.release(step)
    await assert_ends_as(rule.decision, order_id, handle, shop)


def each_way() -> Iterator[ParameterSet]:
    """Each row natively and by one of the signals, in turn: they differ in their input only."""
    for number, status in enumerate(HELD):
        chosen = {by_native_cancellation, SIGNALS[number % len(SIGNALS)]}
        for way in WAYS:
            marks = () if way in chosen else (pytest.mark.long,)
            yield pytest.param(status, way, id=f"{status}-{way.__name__}", marks=marks)


@pytest.mark.parametrize(("status", "way"), list(each_way()))
async def test_signals_and_native_cancellation_follow_the_table(
    shop: AnyShop, faults: StepFaults, status: OrderStatus, way: Way
) -> None:
    """Whoever asks in whatever form: the same decision, with reason and actor in the timeline."""
    order_id, handle = await order_in(status, shop, faults)
    await way(handle)
    if (step := HELD[status]) is not None:
        faults.release(step)
    decision = cancellation.TABLE[status].decision
    await assert_ends_as(decision, order_id, handle, shop)
    if decision is not Decision.JOINED:
        await assert_told(way, order_id, decision, shop)


async def assert_told(way: Way, order_id: str, decision: Decision, shop: AnyShop) -> None:
    rows = [row for row in await shop.timeline(order_id) if row.what.startswith("cancel ")]
    told: dict[Way, tuple[str, str]] = {
        by_signal_with_an_object: ("kim", "typed in the Web UI"),
        by_signal_with_a_string: ("operations", "typed in the Web UI"),
        by_native_cancellation: ("temporal", ""),
    }
    by, reason = told.get(way, ("operations", "requested"))
    names = {by} if way is by_native_cancellation else {by, f"unverified:{by}"}  # the latter on the servers
    assert {row.by for row in rows} <= names
    said = [row.what.partition(":")[0] for row in rows]
    if decision is Decision.REFUSED:
        assert [row.what for row in rows] == ["cancel refused: already_shipped"]
    else:
        assert reason in rows[-1].what
        asked_carrier = ["cancel requested, the carrier decides"] if decision is Decision.CARRIER_DECIDES else []
        assert said == [*asked_carrier, "cancel accepted"]


@pytest.mark.parametrize("given", [12, ["a", "b"], {"unknown": True}, {"reason": None}, ""])
async def test_an_odd_input_of_the_signal_still_cancels(shop: AnyShop, worker: None, given: Any) -> None:
    """A signal cannot be answered, so whatever a hurried person types must not be lost."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await handle.signal("cancel_order", given)
    assert await handle.result() is OrderStatus.CANCELED
