"""A cancel and a step at the same time: both orders of arrival, forced, in each form of a cancel.

The cancel arrives while the step has not done anything yet, or when it has and its workflow does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from _pytest.mark import ParameterSet
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop, undos_run
from tests.support.race_table import RACES
from tests.support.races import ARRIVALS, FORMS, Race, Scene, cancel, told
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment


def every_race() -> Iterator[ParameterSet]:
    """Each race in both orders and all forms; the suite runs one form of each, in turn, `make proof` the others."""
    for number, (race, arrival) in enumerate(product(RACES, ARRIVALS)):
        for index, form in enumerate(FORMS):
            marks = () if index == number % len(FORMS) else (pytest.mark.long,)
            yield pytest.param(race, arrival, form, id=f"{race.name}-{arrival}-{form}", marks=marks)


@pytest.mark.parametrize(("race", "arrival", "form"), list(every_race()))
async def test_a_cancel_meets_a_step(shop: Shop, faults: StepFaults, race: Race, arrival: str, form: str) -> None:
    """The canceler learns the decision, the timeline tells the same in every form, and all books agree with it."""
    scene = Scene(shop, faults, race.step, arrival)
    order_id, handle = await race.begin(scene)
    asked = await cancel(handle, form)
    if asked and race.at_once:
        assert (await asked.result()).code == race.verdict.code
    faults.release(race.step)
    if asked:
        answer = await asked.result()
        assert (answer.accepted, answer.code) == (race.verdict.accepted, race.verdict.code)
    assert await ended(race, form, handle, shop, order_id) == race.end.status
    assert tuple(await told(shop, order_id, form)) == race.verdict.told
    assert tuple(await undos_run(handle)) == race.end.undos
    assert await shop.books(order_id) == race.end.books(race.on_hand)


async def ended(race: Race, form: str, handle: Handle, shop: Shop, order_id: str) -> str:
    """How the workflow says that the order ended: natively canceled, it closes as such once all is undone."""
    if race.end.status == OrderStatus.DELIVERED:
        await until(lambda: told(shop, order_id, form), list(race.verdict.told))
        if race.step != "record_delivered":
            await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    if form != "native" or race.end.status != OrderStatus.CANCELED:
        return str(await handle.result())
    with pytest.raises(WorkflowFailureError) as canceled:
        await handle.result()
    assert isinstance(canceled.value.cause, CancelledError)
    return OrderStatus.CANCELED
