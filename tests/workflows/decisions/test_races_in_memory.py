"""The races of the table on steps in memory, each in the order of arrival that `test_races.py` leaves out.

That one runs the other order on the real servers; `make proof` runs both orders in each form on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from _pytest.mark import ParameterSet

from tests.support.fake_shop import FakeShop
from tests.support.fakes import StepFaults
from tests.support.race_table import RACES, in_memory
from tests.support.races import ARRIVALS, FORMS, Race, assert_decided


def every_race() -> Iterator[ParameterSet]:
    """One of each in the suite, the forms in turn."""
    for number, race in enumerate(RACES):
        for arrival, form in product(ARRIVALS, FORMS):
            marks = () if (arrival, form) == in_memory(number) else (pytest.mark.long,)
            yield pytest.param(race, arrival, form, id=f"{race.name}-{arrival}-{form}", marks=marks)


@pytest.mark.parametrize(("race", "arrival", "form"), list(every_race()))
async def test_a_cancel_meets_a_step(
    fake_shop: FakeShop, fake_faults: StepFaults, race: Race, arrival: str, form: str
) -> None:
    """The canceler learns the decision, the timeline tells the same in every form, and all books agree with it."""
    await assert_decided(fake_shop, fake_faults, race, arrival, form)
