"""What an order costs by promotions, codes and rates, and that nothing is stored where somebody cannot say it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlmodel import select

from adapters.postgres.database import autocommit, engine_of
from domain.errors import Conflict, InvalidInput, Unavailable
from domain.pricing.promotions import PromotionKind
from domain.pricing.taxes import Tax, TaxRate
from services.catalogue.products import change_product
from services.orders.named import named_order
from services.orders.placement import NewOrder, place
from services.orders.pricing import Pieces, merge
from services.orders.quotes import QuoteWanted, quote, still_holds
from services.orders.tables import Order, OrderAdjustment
from services.payments.book import amount_due
from services.promotions.desk import CouponData, PromotionData, add_coupon, add_promotion
from services.rates.from_tables import by_tables, rate_for
from services.rates.imports import NewShippingRate, NewTaxRate, bring_in
from services.rates.ports import (
    Providers,
    ShippingOption,
    ShippingQuestion,
    StoredRates,
    TaxAnswer,
    TaxQuestion,
)
from tests.support.counter import Counter

ADDRESS = {"street1": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701", "country": "US"}
NEW_YEAR = date(2026, 1, 1)


@pytest.fixture(autouse=True)
async def no_rates_stay(counter: Counter) -> AsyncIterator[None]:
    """The tables are the shop's, not an order's: other tests find them empty."""
    yield
    async with counter.sessions() as session, session.begin():
        for table in ("tax_rates", "shipping_rates"):
            await (await session.connection()).execute(text(f"DELETE FROM {table}"))  # noqa: S608
        await (await session.connection()).execute(text("UPDATE promotions SET active = false WHERE automatic"))


async def promote(counter: Counter, code: str | None = None, **more: object) -> str:
    """A promotion of 10 % unless `more` says otherwise, automatic without a code; its id."""
    promotion_id = f"p-{secrets.token_hex(4)}"
    data = {"name": "Save 10 %", "kind": PromotionKind.PERCENT, "currency": "USD", "value": Decimal(10)}
    async with counter.sessions() as session, session.begin():
        promotion = PromotionData(promotion_id, **(data | {"automatic": code is None} | more))  # type: ignore[arg-type]
        await add_promotion(session, promotion, "anna")
        if code is not None:
            await add_coupon(session, CouponData(code, promotion_id), "anna")
    return promotion_id


async def rates(counter: Counter) -> None:
    """8.25 % on top in Illinois, 5.95 for shipping by Ground."""
    tax = NewTaxRate("US", "IL", "standard", NEW_YEAR, 82_500, False)
    slow = NewShippingRate("standard", "US", "USD", NEW_YEAR, 595, 20_000, "Ground", 4)
    fast = NewShippingRate("express", "US", "USD", NEW_YEAR, 1840, None, "Express", 1)
    async with counter.sessions() as session, session.begin():
        await bring_in(session, [tax], [slow, fast])


async def adjustments(counter: Counter, order_id: str) -> list[tuple[str, str, int]]:
    query = select(OrderAdjustment).where(OrderAdjustment.order_id == order_id)
    async with counter.sessions() as session:
        return [(row.kind, row.source, row.amount_minor) for row in await session.exec(query)]


async def wanted(counter: Counter, *prices: tuple[str, int], **more: object) -> NewOrder:
    items = [Pieces(await counter.product(price), quantity) for price, quantity in prices]
    return await counter.wanted(items=items, **more)


async def test_an_order_keeps_what_made_its_total(counter: Counter) -> None:
    """128.99 - 12.90 + 5.95 + 10.07 = 132.11, with each part, and what the label has to be bought as."""
    await rates(counter)
    promotion_id = await promote(counter, "SAVE10-A")
    new = await wanted(counter, ("79.99", 1), ("24.50", 2), shipping_address=ADDRESS, coupon_codes=["SAVE10-A"])
    row = await place(counter.sessions, replace(new, shipping_option="standard", expected_total=Decimal("132.11")))

    parts = (row.subtotal_minor, row.discount_minor, row.shipping_fee_minor, row.added_tax_minor)
    assert parts == (12899, 1290, 595, 1007)
    assert (row.coupon_codes, row.shipping_option, row.shipping_service) == (["SAVE10-A"], "standard", "Ground")
    assert await adjustments(counter, row.order_id) == [
        ("discount", promotion_id, 800),
        ("discount", promotion_id, 490),
        ("fee", "standard", 595),
        ("tax", "US-IL standard", 594),
        ("tax", "US-IL standard", 364),
        ("tax", "US-IL standard", 49),
    ]
    async with named_order(counter.book, row.order_id) as order:
        order.lines()[1].dropped = True
        assert amount_due(order) == 13211 - 4774  # the line's 44.10 and its 3.64 of tax; the fee stays


async def test_tax_that_prices_contain_is_told_and_not_added(counter: Counter) -> None:
    """10 x 23.90 less a quarter is 179.25, of which 29.88 are tax at 20 %."""
    async with counter.sessions() as session, session.begin():
        await bring_in(session, [NewTaxRate("AT", "", "standard", NEW_YEAR, 200_000, True)], [])
    promotion_id = await promote(counter, "QUARTER", value=Decimal(25))
    new = await wanted(counter, ("23.90", 10), shipping_address=ADDRESS | {"country": "AT"}, coupon_codes=["QUARTER"])
    row = await place(counter.sessions, new)

    assert (row.total_minor, row.discount_minor, row.added_tax_minor, row.shipping_option) == (17925, 5975, 0, None)
    assert await adjustments(counter, row.order_id) == [
        ("discount", promotion_id, 5975),
        ("tax", "AT standard", 2988),
    ]


async def test_free_shipping_takes_the_fee_off_and_its_tax(counter: Counter) -> None:
    """The fee is shown, and a discount of as much."""
    await rates(counter)
    promotion_id = await promote(counter, "NO-FEE", kind=PromotionKind.FREE_SHIPPING, value=None)
    row = await place(
        counter.sessions,
        await wanted(counter, ("10.00", 1), shipping_address=ADDRESS, coupon_codes=["NO-FEE"]),
    )

    assert (row.shipping_fee_minor, row.discount_minor, row.added_tax_minor, row.total_minor) == (595, 595, 83, 1083)
    assert (await adjustments(counter, row.order_id))[:2] == [
        ("discount", promotion_id, 595),
        ("fee", "standard", 595),
    ]


async def test_asks_for_an_address_and_an_option_that_there_is(counter: Counter) -> None:
    """Where rates are kept; without a wish it is the cheapest, free from an amount on."""
    await rates(counter)
    new = await wanted(counter, ("100.00", 2))
    with pytest.raises(InvalidInput) as nowhere:
        await place(counter.sessions, new)
    with pytest.raises(InvalidInput) as by_air:
        await place(counter.sessions, replace(new, shipping_address=ADDRESS, shipping_option="air"))
    with pytest.raises(InvalidInput) as abroad:
        await place(counter.sessions, replace(new, shipping_address=ADDRESS | {"country": "FR"}))

    assert [one.value.fields[0].name for one in (nowhere, by_air, abroad)] == [
        "shipping_address",
        "shipping_option",
        "shipping_address.country",
    ]
    assert "there are: express, standard" in by_air.value.fields[0].message
    row = await place(counter.sessions, replace(new, shipping_address=ADDRESS))
    assert (row.shipping_option, row.shipping_fee_minor) == ("standard", 0)


async def test_an_option_without_rates_is_refused(counter: Counter) -> None:
    """There is nothing to choose from."""
    with pytest.raises(InvalidInput) as refused:
        await place(counter.sessions, await wanted(counter, ("10.00", 1), shipping_option="express"))
    assert refused.value.fields[0].name == "shipping_option"


@pytest.mark.parametrize(
    ("code", "kind", "problem"),
    [("NOBODY-KNOWS", InvalidInput, "coupon_unknown"), ("DEAR-ONLY", Conflict, "coupon_below_minimum")],
)
async def test_says_why_a_coupon_does_not_apply(
    counter: Counter, code: str, kind: type[Exception], problem: str
) -> None:
    """By a code of its own, in words; nothing is stored."""
    await promote(counter, "DEAR-ONLY", min_subtotal=Decimal(50)) if code == "DEAR-ONLY" else None
    new = await wanted(counter, ("10.00", 1), coupon_codes=[code])
    with pytest.raises(kind) as refused:
        await place(counter.sessions, new)
    assert refused.value.code == problem  # type: ignore[attr-defined]
    async with counter.sessions() as session:
        assert await session.get(Order, new.order_id) is None


async def test_a_coupon_that_loses_is_not_used(counter: Counter) -> None:
    """An automatic promotion takes more: the order goes on without the code."""
    await promote(counter, "SAVE10-B")
    await promote(counter, name="Half price", value=Decimal(50))
    row = await place(counter.sessions, await wanted(counter, ("10.00", 1), coupon_codes=["SAVE10-B"]))
    assert (row.total_minor, row.coupon_codes) == (500, None)


async def test_an_order_that_costs_nothing_and_one_that_costs_too_little(counter: Counter) -> None:
    """0 is a total; 0.10 is none that Stripe charges."""
    await promote(counter, "ALL-OFF", value=Decimal(100))
    await promote(counter, "NEARLY-ALL", value=Decimal(99))
    free = await place(counter.sessions, await wanted(counter, ("10.00", 1), coupon_codes=["ALL-OFF"]))
    with pytest.raises(InvalidInput) as refused:
        await place(counter.sessions, await wanted(counter, ("10.00", 1), coupon_codes=["NEARLY-ALL"]))
    assert (free.total_minor, refused.value.code) == (0, "total_not_chargeable")


class Far:
    """A provider far away: 10 % on top of everything, 1.00 for shipping. When it is first asked, a price changes."""

    def __init__(self, counter: Counter, product_id: str = "", error: Exception | None = None) -> None:
        self._counter, self._product_id, self._error = counter, product_id, error
        self._pool = engine_of(counter.sessions).pool
        self.asked, self.open = 0, 0

    def applies(self, stored: StoredRates) -> bool:
        return True

    async def quote(self, asked: TaxQuestion | ShippingQuestion) -> TaxAnswer | Sequence[ShippingOption]:
        self.open = max(self.open, self._pool.checkedout())  # type: ignore[attr-defined]
        if self._error is not None:
            raise self._error
        if isinstance(asked, ShippingQuestion):
            return [ShippingOption("far", 100)]
        self.asked += 1
        if self.asked == 1:
            async with self._counter.sessions() as session, session.begin():
                await change_product(session, self._product_id, price=Decimal("27.00"))
        rate = TaxRate(100_000, source="quote-1")
        return TaxAnswer([Tax.by(rate, line.net) for line in asked.lines], Tax.by(rate, asked.fee))

    def providers(self) -> Providers:
        return Providers(self, self)  # type: ignore[arg-type]


async def test_quotes_again_where_a_price_changes_while_a_provider_is_asked(counter: Counter) -> None:
    """The customer pays the price that holds when the order is stored; no connection is held while it is asked."""
    product_id = await counter.product("24.50")
    far = Far(counter, product_id)
    new = replace(await counter.wanted(product_id), shipping_address=ADDRESS)
    row = await place(counter.sessions, new, far.providers())
    assert (far.asked, row.subtotal_minor, row.total_minor) == (2, 2700, 2700 + 100 + 270 + 10)
    assert far.open == 0


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError()])
async def test_stores_nothing_while_nobody_can_say_the_price(counter: Counter, error: Exception) -> None:
    """503, never a guess."""
    new = replace(await wanted(counter, ("10.00", 1)), shipping_address=ADDRESS)
    with pytest.raises(Unavailable) as refused:
        await place(counter.sessions, new, Far(counter, error=error).providers())
    assert refused.value.code == "shipping_rates_away"
    async with counter.sessions() as session:
        assert await session.get(Order, new.order_id) is None


async def test_a_quote_tells_what_a_guest_would_pay(counter: Counter) -> None:
    """With the reason of a code that does not apply; nothing is taken."""
    lines = merge([Pieces(await counter.product("10.00"), 3)])
    reads = autocommit(engine_of(counter.sessions))
    found = await quote(reads, QuoteWanted(lines, coupon_codes=["NOT-THERE"]), by_tables(reads))
    assert (str(found.total), found.unfit[0].code, found.unfit[0].why.code) == ("30.00 USD", "NOT-THERE", "unknown")


async def test_a_quote_without_an_address_is_of_the_goods_where_that_is_enough(counter: Counter) -> None:
    """As a cart shows it, and it holds until a price changes."""
    await rates(counter)
    product_id = await counter.product("10.00")
    reads = autocommit(engine_of(counter.sessions))
    wanted = QuoteWanted(merge([Pieces(product_id, 3)]), goods_only=True)
    goods = await quote(reads, wanted, by_tables(reads))
    whole = await quote(reads, replace(wanted, address=ADDRESS), by_tables(reads))
    assert (goods.totals.total, whole.totals.total) == (3000, 3000 + 595 + 248 + 49)
    assert [option.name for option in whole.options] == ["express", "standard"]
    async with reads.connect() as connection:
        assert await still_holds(connection, goods)
        async with counter.sessions() as session, session.begin():
            await change_product(session, product_id, price=Decimal("10.01"))
        assert not await still_holds(connection, goods)


async def test_twins_with_a_provider_are_one_order(counter: Counter) -> None:
    """Five at once under one key: one order, whose answer all get."""
    await rates(counter)
    new = replace(await wanted(counter, ("10.00", 1)), shipping_address=ADDRESS)
    rows = await asyncio.gather(*(place(counter.sessions, new) for _ in range(5)))
    assert {row.order_id for row in rows} == {new.order_id}


def test_the_nearest_rate_holds() -> None:
    """A category before the standard one, a region before its country."""
    country, region, books = TaxRate(1), TaxRate(2), TaxRate(3)
    known = {("", "standard"): country, ("IL", "standard"): region, ("", "books"): books}
    places = [("IL", "books"), ("IL", "toys"), ("CA", "toys")]
    assert [rate_for(known, *place) for place in places] == [books, region, country]
    assert rate_for({}, "IL", "toys") is None
