"""Every race of the table in both orders of arrival, on steps in memory; `make proof` runs them in each form.

What `test_races.py` shows on the real servers for one order and form of each race.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from _pytest.mark import ParameterSet

from tests.support.fake_shop import FakeShop
from tests.support.fakes import StepFaults
from tests.support.race_table import RACES
from tests.support.races import ARRIVALS, FORMS, Race, assert_decided


def every_race() -> Iterator[ParameterSet]:
    """One form of each in the suite, in turn."""
    for number, (race, arrival) in enumerate(product(RACES, ARRIVALS)):
        for index, form in enumerate(FORMS):
            marks = () if index == number % len(FORMS) else (pytest.mark.long,)
            yield pytest.param(race, arrival, form, id=f"{race.name}-{arrival}-{form}", marks=marks)


@pytest.mark.parametrize(("race", "arrival", "form"), list(every_race()))
async def test_a_cancel_meets_a_step(
    fake_shop: FakeShop, fake_faults: StepFaults, race: Race, arrival: str, form: str
) -> None:
    """The canceler learns the decision, the timeline tells the same in every form, and all books agree with it."""
    await assert_decided(fake_shop, fake_faults, race, arrival, form)
