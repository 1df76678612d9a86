"""The sum of an order: discounts by lane, shares that add up, tax per line, and no total below nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.pricing.lanes import Discount, left_of, off_the_fee, off_the_goods
from domain.pricing.lines import PricedLine, subtotal
from domain.pricing.promotions import Promotion, PromotionKind, Scope
from domain.pricing.rounding import allocate, half_up
from domain.pricing.taxes import Tax, TaxRate
from domain.pricing.totals import FeeSum, Totals, sum_up
from tests.support.sums import LINES, sums

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
NOW = datetime(2026, 6, 1, tzinfo=UTC)

HEADPHONES, WATCH = PricedLine("001", 1, 7999), PricedLine("002", 1, 19999)
SAVE10 = Promotion("p-save10", "Save 10 %", PromotionKind.PERCENT, "USD", value=100_000, coupon="SAVE10")
OFF10 = Promotion("p-off10", "10 off", PromotionKind.FIXED, "USD", value=1000, coupon="OFF10")
FREE = Promotion("p-free", "Free shipping", PromotionKind.FREE_SHIPPING, "USD")
ON_TOP, INCLUDED = TaxRate(82_500), TaxRate(200_000, inclusive=True)


def won(lines: list[PricedLine], *promotions: Promotion) -> list[Discount]:
    return off_the_goods(lines, promotions)


# the numbers of the scenarios ------------------------------------------------------------------------------------


def test_takes_ten_percent_off_and_splits_it_by_the_lines() -> None:
    """33.996 is 34.00, of which 8.00, 20.00 and 6.00 lie on the lines."""
    lines = [HEADPHONES, WATCH, PricedLine("prod001", 2, 2999)]
    totals = sum_up(lines, won(lines, SAVE10))
    assert (totals.subtotal, totals.discount, totals.total) == (33996, 3400, 30596)
    assert [line.discount for line in totals.lines] == [800, 2000, 600]
    assert totals.lines[2].paid(2).units(0, 1) == totals.lines[2].paid(2).units(1, 1) == 2699


def test_takes_a_fixed_amount_off_and_gives_single_pieces_back() -> None:
    """63.50 for three pieces comes back as 21.16, 21.17 and 21.17."""
    lamps = PricedLine("456", 3, 2450)
    totals = sum_up([lamps], won([lamps], OFF10))
    paid = totals.lines[0].paid(3)
    assert totals.total == 6350
    assert [paid.units(before, 1) for before in range(3)] == [2116, 2117, 2117]


def test_tells_the_tax_that_the_prices_contain() -> None:
    """20 % of 179.25 after a quarter off: 29.88, which is part of the total; pieces come back at 17.92 and 17.93."""
    lamps, quarter = PricedLine("v", 10, 2390), replace(SAVE10, value=250_000)
    totals = sum_up([lamps], won([lamps], quarter), taxes=[Tax.by(INCLUDED, 17925)])
    paid = totals.lines[0].paid(10)
    singles = [paid.units(before, 1) for before in range(10)]
    assert (totals.total, totals.lines[0].tax, totals.added_tax) == (17925, Tax(2988, INCLUDED), 0)
    assert singles == [1792, 1793] * 5
    assert sum(singles) == 17925


def test_adds_tax_on_top_of_lines_and_fee() -> None:
    """128.99 - 12.90 + 5.95 + 5.94 + 3.64 + 0.49 is 132.11; one lamp comes back with its share of the tax."""
    lines = [HEADPHONES, PricedLine("456", 2, 2450)]
    discounts = won(lines, SAVE10)
    taxes = [Tax.by(ON_TOP, net) for net in left_of(lines, discounts)]
    totals = sum_up(lines, discounts, shipping=FeeSum(595, 0, Tax.by(ON_TOP, 595)), taxes=taxes)
    assert (totals.subtotal, totals.discount, totals.shipping.fee, totals.added_tax) == (12899, 1290, 595, 1007)
    assert [line.tax.amount for line in totals.lines if line.tax] == [594, 364]
    assert totals.shipping.tax == Tax(49, ON_TOP)
    assert totals.total == 13211
    assert totals.lines[1].paid(2).units(0, 1) == 2387


# rounding and shares ---------------------------------------------------------------------------------------------


def test_a_half_goes_up() -> None:
    """At 0.5, not at 0.499."""
    assert [half_up(one, 1000) for one in (499, 500, 501, 1499, 1500)] == [0, 1, 1, 1, 2]


def test_shares_add_up_where_each_rounded_alone_would_not() -> None:
    """One off 24.50, 29.99 and 79.99: rounded one by one it would be 0.99. Of equal lines the first pays more."""
    assert allocate(100, [2450, 2999, 7999]) == [18, 22, 60]
    assert allocate(2, [50, 50, 50, 50, 50, 50, 1]) == [1, 1, 0, 0, 0, 0, 0]


def test_cannot_split_an_amount_over_nothing() -> None:
    """Zero is no amount, though."""
    assert allocate(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="all weights are 0"):
        allocate(1, [0])


@patient
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.data())
def test_shares_add_up_and_none_is_above_its_line(weights: list[int], data: st.DataObject) -> None:
    """Whatever the amount, up to all there is."""
    amount = data.draw(st.integers(0, sum(weights)))
    shares = allocate(amount, weights)
    assert sum(shares) == amount
    assert all(0 <= share <= weight for share, weight in zip(shares, weights, strict=True))


@patient
@given(sums())
def test_the_parts_make_the_total(found: tuple[list[PricedLine], Totals]) -> None:
    """Whatever competes and whatever is taxed, nothing is below 0 and no line costs more than its price."""
    lines, totals = found
    shipping = totals.shipping
    assert totals.total == totals.subtotal - totals.discount + shipping.fee + totals.added_tax
    assert totals.subtotal == subtotal(lines)
    assert totals.discount == sum(line.discount for line in totals.lines) + shipping.discount
    assert min(totals.total, totals.added_tax, shipping.fee - shipping.discount) >= 0
    assert all(0 <= line.net <= one.amount for line, one in zip(totals.lines, lines, strict=True))


@patient
@given(LINES)
def test_without_promotions_and_rates_the_total_is_the_sum_of_the_lines(lines: list[PricedLine]) -> None:
    """As it has always been."""
    totals = sum_up(lines)
    assert (totals.total, totals.discount, totals.added_tax) == (sum(line.amount for line in lines), 0, 0)


# lanes -----------------------------------------------------------------------------------------------------------


def test_the_best_of_a_lane_wins_alone() -> None:
    """10 % of 79.99 is less than 10.00, so that the loser takes nothing; in a dearer order it is more."""
    assert [one.promotion for one in won([HEADPHONES], SAVE10, OFF10)] == [OFF10]
    assert [one.promotion for one in won([WATCH], SAVE10, OFF10)] == [SAVE10]


def test_of_two_equally_good_ones_the_coupon_is_kept() -> None:
    """An automatic promotion that gives as much leaves the code for another order."""
    automatic = replace(SAVE10, promotion_id="z", coupon=None)
    assert [one.promotion for one in won([WATCH], SAVE10, automatic)] == [automatic]


def test_each_line_has_the_promotion_that_is_best_for_it() -> None:
    """5.00 off beats 10 % on the lamp and not on the watch; the next lane is about what is left."""
    lamp = PricedLine("456", 1, 2450)
    both, one = frozenset(["456", "002"]), frozenset(["456"])
    tenth = replace(SAVE10, scope=Scope.PRODUCTS, product_ids=both)
    five = replace(OFF10, value=500, scope=Scope.PRODUCTS, product_ids=one)
    found = won([lamp, WATCH], five, tenth, replace(SAVE10, promotion_id="order"))
    assert {one.promotion.promotion_id: one.shares for one in found} == {
        "p-off10": (500, 0),
        "p-save10": (0, 2000),
        "order": (195, 1800),  # 10 % of 19.50 and 179.99, once: 19.95
    }


def test_of_three_pieces_of_a_product_one_is_free() -> None:
    """Buy two, get one: seven pieces have two free ones; two of another product have none."""
    gift = Promotion("g", "3 for 2", PromotionKind.BUY_X_GET_Y, "USD", buy=2, get=1)
    [found] = won([PricedLine("a", 7, 100), PricedLine("b", 2, 100)], gift)
    assert found.shares == (200, 0)


def test_free_shipping_takes_the_fee_and_nothing_else() -> None:
    """Where there is no fee there is nothing to win, and a coupon stays unused."""
    assert off_the_fee(595, [SAVE10, FREE]) == Discount(FREE, 595)
    assert off_the_fee(0, [FREE]) is None
    assert won([WATCH], FREE) == []


def test_takes_no_more_than_there_is() -> None:
    """A fixed amount above the goods makes them free, and the fee stays."""
    lines = [PricedLine("a", 1, 700), PricedLine("b", 1, 0)]
    totals = sum_up(lines, won(lines, OFF10), shipping=FeeSum(595))
    assert (totals.discount, totals.total) == (700, 595)


# who may use it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"active": False}, "ended", "is over"),
        ({"starts": NOW + timedelta(days=1)}, "not_started", "begins on 2026-06-02 00:00 UTC"),
        ({"ends": NOW}, "expired", "ended on 2026-06-01 00:00 UTC"),
        ({"currency": "EUR"}, "other_currency", "is for orders in EUR, and this one is in USD"),
        ({"scope": Scope.PRODUCTS, "product_ids": frozenset(["x"])}, "no_such_products", "is for other products"),
        ({"min_subtotal": 8000}, "below_minimum", "needs 80.00 USD at least, and there are 79.99 USD"),
        ({"kind": PromotionKind.BUY_X_GET_Y, "buy": 1, "get": 1}, "too_few_pieces", "needs 2 pieces of one product"),
    ],
)
def test_says_in_words_why_it_does_not_apply(change: dict[str, object], code: str, words: str) -> None:
    """Each reason has a code of its own."""
    unfit = replace(OFF10, **change).unfit([HEADPHONES], "USD", NOW)  # type: ignore[arg-type]
    assert unfit is not None
    assert (unfit.code, unfit.words) == (code, f"10 off {words}")


def test_applies_up_to_its_last_moment() -> None:
    """From its start on, to its minimum exactly."""
    bounds = replace(OFF10, starts=NOW, ends=NOW + timedelta(seconds=1), min_subtotal=7999)
    assert bounds.unfit([HEADPHONES], "USD", NOW) is None
