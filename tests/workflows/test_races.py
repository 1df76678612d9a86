"""A cancel and a step at the same time: both orders of arrival, forced, in each form of a cancel.

The cancel arrives while the step has not done anything yet, or when it has and its workflow does not know.
"""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from tests.fakes import StepFaults
from tests.orders import Handle, Shop, undos_run
from tests.race_table import RACES
from tests.races import ARRIVALS, FORMS, Race, Scene, cancel, told
from tests.waiting import until
from workflows.order_fulfillment import OrderFulfillment


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("arrival", ARRIVALS)
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
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
