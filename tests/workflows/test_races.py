"""A cancel and a step at the same time on the real servers: each order of arrival forced, in each form of a cancel.

The cancel arrives while the step has not done anything yet, or when it has and its workflow does not know. The suite
runs each race in one order here and in the other one in `decisions/test_races_in_memory.py`; `make proof` runs all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from _pytest.mark import ParameterSet

from tests.support.fakes import StepFaults
from tests.support.orders import Shop
from tests.support.race_table import RACES, on_servers
from tests.support.races import ARRIVALS, FORMS, Race, assert_decided


def every_race() -> Iterator[ParameterSet]:
    """Each race in both orders and all forms; the suite runs one of each, in turn."""
    for number, race in enumerate(RACES):
        for arrival, form in product(ARRIVALS, FORMS):
            marks = () if (arrival, form) == on_servers(number) else (pytest.mark.long,)
            yield pytest.param(race, arrival, form, id=f"{race.name}-{arrival}-{form}", marks=marks)


@pytest.mark.parametrize(("race", "arrival", "form"), list(every_race()))
async def test_a_cancel_meets_a_step(shop: Shop, faults: StepFaults, race: Race, arrival: str, form: str) -> None:
    """The canceler learns the decision, the timeline tells the same in every form, and all books agree with it."""
    await assert_decided(shop, faults, race, arrival, form)
