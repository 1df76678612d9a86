"""What comes back for single pieces: any split, in any order, adds up to what was paid."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.pricing.lines import PricedLine
from domain.pricing.returns import Back, Given, worth_back
from domain.pricing.totals import Totals
from domain.pricing.units import Paid, due_back
from tests.support.sums import sums

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
PAID = st.builds(Paid, st.integers(0, 10**8), st.integers(0, 10**7), st.integers(1, 200))


@st.composite
def splits(draw: st.DrawFn) -> tuple[Paid, list[int]]:
    """A line, and how many of its pieces come back at a time, until none is left."""
    paid = draw(PAID)
    counts: list[int] = []
    while (left := paid.quantity - sum(counts)) > 0:
        counts.append(draw(st.integers(1, left)))
    return paid, counts


@patient
@given(splits())
def test_any_split_of_a_line_adds_up_to_what_was_paid(split: tuple[Paid, list[int]]) -> None:
    """And no part is above the rest, or below 0."""
    paid, counts = split
    back, given_back = 0, 0
    for count in counts:
        worth = due_back(paid, back=back, given=given_back, count=count)
        assert worth == paid.units(back, count)
        assert 0 <= worth <= paid.total - given_back
        back, given_back = back + count, given_back + worth
    assert given_back == paid.total


@patient
@given(splits(), st.data())
def test_refunds_that_fail_and_are_asked_for_again_lose_no_cent(
    split: tuple[Paid, list[int]], data: st.DataObject
) -> None:
    """Their pieces count as not given back, whichever they were, and the last pieces make up for the rounding."""
    paid, counts = split
    live: list[tuple[int, int]] = []
    for count in counts:
        back, given_back = sum(one for one, _ in live), sum(one for _, one in live)
        live.append((count, due_back(paid, back=back, given=given_back, count=count)))
    failed = [one for one in live if data.draw(st.booleans())]
    for one in failed:
        live.remove(one)
    rest = sum(count for count, _ in failed)
    if rest:
        back, given_back = sum(one for one, _ in live), sum(one for _, one in live)
        live.append((rest, due_back(paid, back=back, given=given_back, count=rest)))
    assert sum(count for count, _ in live) == paid.quantity
    assert sum(worth for _, worth in live) == paid.total


@st.composite
def orders(draw: st.DrawFn) -> tuple[dict[str, Paid], set[str], int]:
    """An order's lines by product, those that are dropped before the capture (never all), and its fee."""
    lines = dict(enumerate(draw(st.lists(PAID, min_size=1, max_size=5))))
    named = {f"p{number}": paid for number, paid in lines.items()}
    dropped = draw(st.sets(st.sampled_from(sorted(named)), max_size=len(named) - 1))
    return named, dropped, draw(st.integers(0, 5000))


@patient
@given(orders(), st.data())
def test_drops_and_refunds_in_any_order_add_up_to_what_was_captured(
    order: tuple[dict[str, Paid], set[str], int], data: st.DataObject
) -> None:
    """Several lines at a time, some of the refunds failing and asked for anew, the fee with the last piece."""
    lines, dropped, fee = order
    captured = fee + sum(paid.total for paid in lines.values()) - sum(lines[name].total for name in dropped)
    kept = {name: paid for name, paid in lines.items() if name not in dropped}
    assert _returned(kept, fee, captured, data) == captured


@patient
@given(sums(), st.data())
def test_whatever_made_a_total_it_comes_back_to_the_penny(
    order: tuple[list[PricedLine], Totals], data: st.DataObject
) -> None:
    """Any promotions, fee and tax; some lines dropped, so that less is captured; the rest comes back in any order.

    What an order costs beside its lines is what was paid for shipping.
    """
    lines, totals = order
    paid = {line.product_id: summed.paid(line.quantity) for line, summed in zip(lines, totals.lines, strict=True)}
    dropped = data.draw(st.sets(st.sampled_from(sorted(paid)), max_size=len(paid) - 1))
    kept = {name: one for name, one in paid.items() if name not in dropped}
    fee = totals.total - sum(one.total for one in paid.values())
    captured = totals.total - sum(paid[name].total for name in dropped)
    assert fee == totals.shipping.paid
    assert 0 <= captured <= totals.total
    assert _returned(kept, fee, captured, data) == captured


def _returned(kept: dict[str, Paid], fee: int, captured: int, data: st.DataObject) -> int:
    """What all pieces give back in the end, a few of them at a time, while some refunds fail; never too much."""
    live: list[tuple[dict[str, int], Back]] = []
    for _ in range(200):
        given = _given(live)
        left = {name: paid.quantity - given.pieces[name] for name, paid in kept.items()}
        if not any(left.values()):
            break
        wanted = {name: data.draw(st.integers(1, most)) for name, most in left.items() if most}
        back = worth_back(kept, fee, given, wanted)
        assert min(back.amounts.values()) >= 0
        assert sum(one.total for _, one in live) + back.total <= captured
        live.append((wanted, back))
        if len(live) < 10 and data.draw(st.booleans()):
            live.pop(data.draw(st.integers(0, len(live) - 1)))
    return sum(one.total for _, one in live)


def _given(live: list[tuple[dict[str, int], Back]]) -> Given:
    pieces, amounts = Counter[str](), Counter[str]()
    for wanted, back in live:
        pieces.update(wanted)
        amounts.update(back.amounts)
    return Given(pieces, amounts, sum(back.fee for _, back in live))


def test_knows_no_pieces_that_there_are_not() -> None:
    """A fourth of three."""
    with pytest.raises(ValueError, match="units 4 to 4 of 3"):
        Paid(6350, 0, 3).units(3, 1)
