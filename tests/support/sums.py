"""Orders of any lines, promotions, fee and rates, for tests of properties."""

from __future__ import annotations

from hypothesis import strategies as st

from domain.pricing.lanes import left_of, off_the_fee, off_the_goods
from domain.pricing.lines import PricedLine
from domain.pricing.promotions import Promotion, PromotionKind, Scope
from domain.pricing.rounding import MILLION
from domain.pricing.taxes import Tax, TaxRate
from domain.pricing.totals import FeeSum, Totals, sum_up

LINES = st.lists(
    st.builds(PricedLine, st.uuids().map(str), st.integers(1, 50), st.integers(0, 10**6)), min_size=1, max_size=8
)
RATES = st.none() | st.builds(TaxRate, st.integers(0, MILLION), st.booleans())


@st.composite
def sums(draw: st.DrawFn) -> tuple[list[PricedLine], Totals]:
    """Any lines with any promotions, fee and rates."""
    lines = draw(LINES)
    products = st.frozensets(st.sampled_from([line.product_id for line in lines]))
    promotions = draw(st.lists(_promotions(products), max_size=5))
    fee = draw(st.integers(0, 5000))
    free = off_the_fee(fee, promotions)
    won = off_the_goods(lines, promotions)
    off_fee = free.amount if free else 0
    taxes = [Tax.by(draw(RATES), net) for net in left_of(lines, won)]
    shipping = FeeSum(fee, off_fee, Tax.by(draw(RATES), fee - off_fee))
    return lines, sum_up(lines, won, shipping=shipping, taxes=taxes)


def _promotions(products: st.SearchStrategy[frozenset[str]]) -> st.SearchStrategy[Promotion]:
    percent = st.tuples(st.just(PromotionKind.PERCENT), st.integers(0, MILLION))
    fixed = st.tuples(st.just(PromotionKind.FIXED), st.integers(0, 10**7))
    gift = st.tuples(st.just(PromotionKind.BUY_X_GET_Y), st.just(0))
    free = st.tuples(st.just(PromotionKind.FREE_SHIPPING), st.just(0))
    return st.builds(
        lambda id_, kind, scope, products, coupon, buy, get: Promotion(
            id_, id_, kind[0], "USD", scope, kind[1], buy, get, products, coupon=coupon
        ),
        st.uuids().map(str), percent | fixed | gift | free, st.sampled_from(Scope), products,
        st.none() | st.just("CODE"), st.integers(1, 3), st.integers(1, 3),
    )  # fmt: skip
