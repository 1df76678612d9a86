"""When too many orders would end by our own fault."""

from __future__ import annotations

import pytest

from domain.brake import pulls


@pytest.mark.parametrize(
    ("ended", "placed", "pulled"),
    [
        (9, 9, False),  # too few to say anything
        (10, 10, True),
        (10, 199, True),
        (10, 200, False),  # not more than one in twenty
        (11, 200, True),
        (10, 0, True),  # of orders that were placed long ago
        (600, 10_000, True),
        (500, 10_000, False),
    ],
)
def test_is_pulled_by_a_number_and_a_share(ended: int, placed: int, pulled: bool) -> None:
    """At least ten, and more than five of a hundred that were placed in the same time."""
    assert pulls(ended, placed, at_least=10, share=0.05) is pulled
