"""Every race of the table, both orders of arrival, each form of a cancel, on steps in memory.

What `test_races.py` shows on the real servers for one form of each race.
"""

from __future__ import annotations

from itertools import product

import pytest

from tests.support.fake_shop import FakeShop
from tests.support.fakes import StepFaults
from tests.support.race_table import RACES
from tests.support.races import ARRIVALS, FORMS, Race, assert_decided

EVERY = [
    pytest.param(race, arrival, form, id=f"{race.name}-{arrival}-{form}")
    for race, arrival, form in product(RACES, ARRIVALS, FORMS)
]


@pytest.mark.parametrize(("race", "arrival", "form"), EVERY)
async def test_a_cancel_meets_a_step(
    fake_shop: FakeShop, fake_faults: StepFaults, race: Race, arrival: str, form: str
) -> None:
    """The canceler learns the decision, the timeline tells the same in every form, and all books agree with it."""
    await assert_decided(fake_shop, fake_faults, race, arrival, form)
