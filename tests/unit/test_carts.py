"""The rules of carts: how two become one, what is said of stock, and when nobody comes back any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.carts import (
    Availability,
    Line,
    Lives,
    added,
    availability,
    checked,
    merged,
    require_one_currency,
    require_room,
)
from domain.errors import Conflict, InvalidInput
from domain.limits import MAX_LINES, MAX_QUANTITY

A, B = Line("a", 2, 100), Line("b", 1, 250)


def test_adds_the_quantities_of_two_carts() -> None:
    """What is in both keeps its place and the price that was seen there; what is new comes last."""
    assert merged([A, B], [Line("c", 1, 50), Line("a", 3, 120)]) == [Line("a", 5, 100), B, Line("c", 1, 50)]
    assert merged([], [A]) == [A]
    assert merged([A], []) == [A]


def test_caps_what_two_carts_have_together() -> None:
    """A login is never refused for a number of pieces."""
    assert merged([Line("a", MAX_QUANTITY, 1)], [Line("a", 7, 1)]) == [Line("a", MAX_QUANTITY, 1)]


def test_refuses_more_products_than_an_order_may_have() -> None:
    """Neither cart loses anything by it."""
    full = [Line(str(number), 1, 1) for number in range(MAX_LINES)]
    assert len(merged(full, [full[0]])) == MAX_LINES
    with pytest.raises(Conflict) as refused:
        merged(full, [A])
    assert refused.value.code == "cart_full"
    require_room(MAX_LINES)


@pytest.mark.parametrize("quantity", [0, -1, MAX_QUANTITY + 1])
def test_refuses_a_number_of_pieces_that_no_line_has(quantity: int) -> None:
    """It names the field."""
    with pytest.raises(InvalidInput) as refused:
        checked(quantity)
    assert (refused.value.code, refused.value.fields[0].name) == ("invalid_quantity", "quantity")


def test_counts_what_is_there_in_an_add() -> None:
    """One piece too many is refused, the last one is not."""
    assert added(MAX_QUANTITY - 1, 1) == MAX_QUANTITY
    with pytest.raises(InvalidInput):
        added(MAX_QUANTITY, 1)


@pytest.mark.parametrize(
    ("available", "wanted", "said"),
    [
        (0, 1, Availability.OUT),
        (-3, 1, Availability.OUT),
        (5, 1, Availability.LOW),
        (6, 1, Availability.IN_STOCK),
        (20, 21, Availability.LOW),
        (20, 20, Availability.IN_STOCK),
    ],
)
def test_says_what_is_left(available: int, wanted: int, said: Availability) -> None:
    """Five or fewer are few, and so is less than the cart wants."""
    assert availability(available, wanted, low=5) is said


def test_an_empty_cart_takes_any_currency() -> None:
    """After that only its own."""
    require_one_currency(None, "EUR")
    require_one_currency("EUR", "EUR")
    with pytest.raises(Conflict) as refused:
        require_one_currency("EUR", "USD", "a")
    assert (refused.value.code, refused.value.fields[0].name) == ("other_currency", "product_id")


def test_each_kind_of_cart_has_its_time() -> None:
    """Counted back from now."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    days = [timedelta(days=number) for number in (30, 90, 1, 2)]
    assert Lives(*days).bounds(now) == tuple(now - one for one in days)
