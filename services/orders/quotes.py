"""What a customer would pay now, with everything that makes the total. Nothing is stored or held by asking.

A quote is made while no transaction is open, since who says what tax and shipping cost may be far away. Whoever
stores it compares first, under the lock, whether it still holds (`still_holds`), and quotes again where it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.clock import now
from domain.errors import BadField, Conflict, InvalidInput, Unavailable, bad_fields
from domain.money import Money
from domain.pricing.lanes import Discount, left_of, off_the_fee, off_the_goods
from domain.pricing.lines import PricedLine
from domain.pricing.promotions import Promotion, Unfit
from domain.pricing.totals import NO_FEE, FeeSum, Totals, sum_up
from services.orders.pricing import Found, MergedLine, Tried, currency_of, known_products, look_up
from services.promotions.reading import Coupon, read_coupons, unknown
from services.rates.from_tables import cheapest
from services.rates.ports import (
    Address,
    NetLine,
    Providers,
    ShippingOption,
    ShippingQuestion,
    TaxAnswer,
    TaxQuestion,
)

PROVIDER_TIMEOUT = 5.0  # seconds for each provider


@dataclass(frozen=True)
class QuoteWanted:
    """What is to be priced; codes are in capitals. `customer_id` is None for a guest.

    With `goods_only` what has no address yet is priced without tax and shipping, instead of being refused.
    """

    lines: Mapping[str, MergedLine]  # of `pricing.merge`
    customer_id: str | None = None
    address: Address | None = None
    shipping_option: str | None = None
    coupon_codes: Sequence[str] = ()
    currency: str | None = None  # what the client believes
    goods_only: bool = False


class CouponUnfit(NamedTuple):
    """A code that takes nothing off, and why."""

    code: str
    why: Unfit


class Basis(NamedTuple):
    """What a quote rests on and others may change: two quotes with the same basis have the same prices."""

    found: Found
    coupons: Mapping[str, Coupon]

    def holds(self, later: Basis) -> bool:
        """Whether prices, promotions and codes are still the same; how often a code was used is another matter."""
        mine, theirs = self.found, later.found
        codes = {code: (one.promotion, one.active) for code, one in self.coupons.items()}
        return (mine.products, mine.promotions) == (theirs.products, theirs.promotions) and codes == {
            code: (one.promotion, one.active) for code, one in later.coupons.items()
        }


@dataclass(frozen=True)
class Quote:
    """An order's sum as it is now, with what made it."""

    currency: str
    lines: Sequence[PricedLine]
    names: Sequence[str]  # of the lines' products
    totals: Totals
    wanted: QuoteWanted
    basis: Basis
    discounts: Sequence[Discount] = ()  # of the goods
    off_fee: Discount | None = None
    option: ShippingOption | None = None
    unfit: Sequence[CouponUnfit] = ()
    options: Sequence[ShippingOption] = field(default=(), repr=False)  # all that there are for the address

    @property
    def total(self) -> Money:
        """What the customer pays."""
        return Money(minor=self.totals.total, currency=self.currency)

    @property
    def won(self) -> list[Discount]:
        """Everything that takes something off, of goods and shipping."""
        return [*self.discounts, self.off_fee] if self.off_fee else [*self.discounts]

    @property
    def used_codes(self) -> list[str]:
        """The codes that take something off, and that an order uses up."""
        return sorted({one.promotion.coupon for one in self.won if one.promotion.coupon})


async def quote(reads: AsyncEngine, wanted: QuoteWanted, providers: Providers) -> Quote:
    """What it costs now. `reads` commits each statement by itself.

    Raises InvalidInput for what the catalogue cannot serve and where the address or the shipping option is missing
    or unknown, Unavailable where a provider cannot be reached. A coupon that does not apply is part of the answer.
    """
    async with reads.connect() as connection:
        basis = await read_basis(connection, wanted)
    return await quote_of(basis, wanted, providers)


async def read_basis(connection: AsyncConnection, wanted: QuoteWanted, tried: Tried | None = None) -> Basis:
    """What the quote rests on, and the order, if an earlier try has stored it."""
    found = await look_up(connection, tried, wanted.customer_id, list(wanted.lines))
    if not wanted.coupon_codes or found.order is not None:
        return Basis(found, {})
    return Basis(found, await read_coupons(connection, wanted.coupon_codes, wanted.customer_id))


async def still_holds(connection: AsyncConnection, quote: Quote) -> bool:
    """Whether the same quote would be made again; to be asked under the lock of what it is stored with."""
    return quote.basis.holds(await read_basis(connection, quote.wanted))


async def quote_of(basis: Basis, wanted: QuoteWanted, providers: Providers) -> Quote:
    """The sum on this basis. Raises as `quote` does."""
    products = known_products(basis.found, wanted.lines)
    currency = currency_of(wanted.lines, products, wanted.currency)
    names = [products[product_id].name for product_id in wanted.lines]
    lines = [
        PricedLine(product_id, line.quantity, products[product_id].price_minor, products[product_id].tax_category)
        for product_id, line in wanted.lines.items()
    ]
    apply = providers.apply(basis.found.stored_rates) and not (wanted.goods_only and wanted.address is None)
    if not (basis.found.promotions or wanted.coupon_codes or wanted.shipping_option or apply):
        return Quote(currency, lines, names, sum_up(lines), wanted, basis)
    at = now()
    fit, unfit = _judge(basis, wanted.coupon_codes, lines, currency, at)
    discounts = off_the_goods(lines, fit)
    goods = Quote(currency, lines, names, sum_up(lines, discounts), wanted, basis, discounts, unfit=unfit)
    if apply:
        return await _with_rates(goods, fit, providers, at)
    if wanted.shipping_option is not None and not wanted.goods_only:
        raise _no_such_option(())
    return goods


async def _with_rates(goods: Quote, fit: Sequence[Promotion], providers: Providers, at: datetime) -> Quote:
    """The same with shipping, what is taken off it, and the tax on all that is left."""
    wanted, basis, currency, lines = goods.wanted, goods.basis, goods.currency, goods.lines
    address, left = _address(wanted), left_of(lines, goods.discounts)
    options = await _options(providers, basis, ShippingQuestion(address, currency, at, sum(left)))
    option = _chosen(options, wanted, providers.shipping.applies(basis.found.stored_rates))
    fee = option.fee if option else 0
    off_fee = off_the_fee(fee, fit)
    paid_fee = fee - (off_fee.amount if off_fee else 0)
    taxes = await _taxes(providers, basis, TaxQuestion(address, currency, at, _net(lines, left), paid_fee))
    shipping = FeeSum(fee, fee - paid_fee, taxes.fee) if option else NO_FEE
    totals = sum_up(lines, goods.discounts, shipping=shipping, taxes=taxes.lines)
    return replace(goods, totals=totals, off_fee=off_fee, option=option, options=options)


def _net(lines: Sequence[PricedLine], left: Sequence[int]) -> list[NetLine]:
    return [
        NetLine(line.product_id, line.tax_category, line.quantity, rest)
        for line, rest in zip(lines, left, strict=True)
    ]


def require_coupons(quote: Quote) -> None:
    """Raises InvalidInput for a code that there is not, Conflict for one that does not apply, each with its words."""
    for code, why in quote.unfit:
        fields = [BadField("coupon_codes", why.words)]
        kind = InvalidInput if why.code == "unknown" else Conflict
        raise kind(f"coupon_{why.code}", why.words, fields=fields, coupon=code)


def _judge(
    basis: Basis, codes: Sequence[str], lines: Sequence[PricedLine], currency: str, at: datetime
) -> tuple[list[Promotion], list[CouponUnfit]]:
    """The promotions that apply, and the codes that do not, with the reason of each."""
    fit = [one for one in basis.found.promotions if one.unfit(lines, currency, at) is None]
    unfit = []
    for code in codes:
        coupon = basis.coupons.get(code)
        why = coupon.unfit(lines, currency, at) if coupon else unknown(code)
        if why is not None:
            unfit.append(CouponUnfit(code, why))
        elif coupon is not None:
            fit.append(coupon.promotion)
    return fit, unfit


def _address(wanted: QuoteWanted) -> Address:
    if wanted.address is None:
        raise bad_fields({"shipping_address": "tax and shipping depend on it: it is needed"})
    return wanted.address


async def _options(providers: Providers, basis: Basis, asked: ShippingQuestion) -> Sequence[ShippingOption]:
    if not providers.shipping.applies(basis.found.stored_rates):
        return ()
    try:
        async with asyncio.timeout(PROVIDER_TIMEOUT):
            return await providers.shipping.quote(asked)
    except OSError as error:  # a TimeoutError is one
        raise _away("shipping") from error


async def _taxes(providers: Providers, basis: Basis, asked: TaxQuestion) -> TaxAnswer:
    if not providers.taxes.applies(basis.found.stored_rates):
        return TaxAnswer(())
    try:
        async with asyncio.timeout(PROVIDER_TIMEOUT):
            return await providers.taxes.quote(asked)
    except OSError as error:
        raise _away("tax") from error


def _away(what: str) -> Unavailable:
    return Unavailable(f"{what}_rates_away", f"nobody can say now what {what} costs; nothing was stored")


def _chosen(options: Sequence[ShippingOption], wanted: QuoteWanted, applies: bool) -> ShippingOption | None:
    """The option that was asked for, the cheapest one without a wish; None where shipping costs nothing anywhere."""
    if wanted.shipping_option is not None:
        chosen = next((option for option in options if option.name == wanted.shipping_option), None)
        if chosen is None:
            raise _no_such_option(options)
        return chosen
    if applies and not options:
        raise bad_fields({"shipping_address.country": "nothing is sent to this country in this currency"})
    return cheapest(options)


def _no_such_option(options: Sequence[ShippingOption]) -> InvalidInput:
    there = ", ".join(option.name for option in options) or "none"
    return bad_fields({"shipping_option": f"there is no such option here; there are: {there}"})
