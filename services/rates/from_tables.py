"""Tax and shipping by our own tables, which `ordersaga rates import` fills. Empty ones cost nothing and say nothing.

Of the rows for one thing the one with the latest `valid_from` that is not after today (UTC) holds. What is nearer
wins: a region before its country, a country before '*', a category before `standard`. A country without a row has no
tax. Shipping is taxed by the category `shipping`, or as `standard`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.pricing.lines import STANDARD
from domain.pricing.taxes import Tax, TaxRate
from services.rates.ports import (
    Providers,
    ShippingOption,
    ShippingQuestion,
    StoredRates,
    TaxAnswer,
    TaxQuestion,
)

SHIPPING = "shipping"
"""The tax category of the fee."""

_TAX = text("""
    SELECT DISTINCT ON (region, category) region, category, rate_ppm, inclusive FROM tax_rates
     WHERE country = :country AND region IN ('', :region) AND valid_from <= :today
     ORDER BY region, category, valid_from DESC
""")
_SHIPPING = text("""
    SELECT DISTINCT ON (option, country) option, country, fee_minor, free_from_minor, service, days
      FROM shipping_rates
     WHERE country IN (:country, '*') AND currency = :currency AND valid_from <= :today
     ORDER BY option, country, valid_from DESC
""")

Rates = Mapping[tuple[str, str], TaxRate]
"""By region ('' for the country) and category."""


def by_tables(reads: AsyncEngine) -> Providers:
    """The default providers; `reads` commits each statement by itself."""
    return Providers(TableTaxes(reads), TableShipping(reads))


class TableTaxes:
    """A TaxCalculator over the table `tax_rates`."""

    def __init__(self, reads: AsyncEngine) -> None:
        self._reads = reads

    def applies(self, stored: StoredRates) -> bool:
        """Where the table has rows."""
        return stored.tax

    async def quote(self, asked: TaxQuestion) -> TaxAnswer:
        """By the rates of the day."""
        country, region = asked.address["country"], asked.address.get("state", "").upper()
        place = {"country": country, "region": region, "today": asked.at.astimezone(UTC).date()}
        async with self._reads.connect() as connection:
            rows = (await connection.execute(_TAX, place)).all()
        rates = {
            (row.region, row.category): TaxRate(
                row.rate_ppm, row.inclusive, "-".join(filter(None, (country, row.region))) + f" {row.category}"
            )
            for row in rows
        }
        lines = [Tax.by(rate_for(rates, region, line.category), line.net) for line in asked.lines]
        return TaxAnswer(lines, Tax.by(rate_for(rates, region, SHIPPING), asked.fee) if asked.fee else None)


def rate_for(rates: Rates, region: str, category: str) -> TaxRate | None:
    """The nearest rate: of the category in the region, then in the country, then the standard one likewise."""
    places = [(place, kind) for kind in (category, STANDARD) for place in (region, "")]
    return next((rates[place] for place in places if place in rates), None)


class TableShipping:
    """ShippingRates over the table `shipping_rates`."""

    def __init__(self, reads: AsyncEngine) -> None:
        self._reads = reads

    def applies(self, stored: StoredRates) -> bool:
        """Where the table has rows."""
        return stored.shipping

    async def quote(self, asked: ShippingQuestion) -> Sequence[ShippingOption]:
        """By the rates of the day; free from an amount of goods on, where a row says so."""
        today = asked.at.astimezone(UTC).date()
        place = {"country": asked.address["country"], "currency": asked.currency, "today": today}
        async with self._reads.connect() as connection:
            rows = (await connection.execute(_SHIPPING, place)).all()
        nearest = {row.option: row for row in sorted(rows, key=lambda row: row.country != "*")}
        return [
            ShippingOption(
                row.option,
                0 if row.free_from_minor is not None and asked.goods >= row.free_from_minor else row.fee_minor,
                row.service,
                row.days,
            )
            for row in nearest.values()
            if row.fee_minor is not None
        ]


def cheapest(options: Iterable[ShippingOption]) -> ShippingOption | None:
    """What a customer gets who names none: the lowest fee, of two the faster one."""
    return min(options, key=lambda one: (one.fee, one.days is None, one.days or 0, one.name), default=None)
