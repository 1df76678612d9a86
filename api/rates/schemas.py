"""What operations send and get about tax and shipping rates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import ConfigDict, FailFast, Field, StringConstraints, ValidationInfo, field_validator

from api.http.fields import Amount, Body, Currency, Percent, ShippingOptionName, Text200, Wire
from domain.money import MAXIMUM_CHARGE, Money
from domain.pricing.lines import STANDARD
from domain.pricing.rounding import as_percent, from_percent
from services.rates.imports import NewShippingRate, NewTaxRate
from services.rates.tables import ShippingRateRow, TaxRateRow

MAX_RATES = 2000

Region = Annotated[str, StringConstraints(strict=True, max_length=40, pattern=r"^[A-Z0-9-]*$")]
Category = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9_-]{1,40}$")]


class TaxRateWanted(Body):
    country: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{2}$")]
    region: Region = Field(default="", description="the `state` of an address; empty for all of the country")
    category: Category = STANDARD
    rate: Percent = Field(description="in percent", examples=["8.25"])
    inclusive: bool = Field(default=False, description="whether prices contain it")
    valid_from: date

    def data(self) -> NewTaxRate:
        given = self.model_dump(exclude={"rate"})
        return NewTaxRate(rate_ppm=from_percent(self.rate), **given)


class ShippingRateWanted(Body):
    option: ShippingOptionName
    country: Annotated[str, StringConstraints(strict=True, pattern=r"^([A-Z]{2}|\*)$")] = Field(
        description="'*' is any country that has no rate of this option"
    )
    currency: Currency = "USD"
    fee: Amount | None = Field(description="null: no longer offered from that day on", examples=["5.95"])
    free_from: Amount | None = Field(default=None, description="of the goods after discounts")
    service: Text200 | None = Field(
        default=None, description="the carrier's name of what is bought", examples=["Ground"]
    )
    days: Annotated[int, Field(strict=True, ge=0, le=365)] | None = None
    valid_from: date

    @field_validator("fee", "free_from")
    @classmethod
    def _fits_currency(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if amount is None or "currency" not in info.data:
            return amount
        if Money.parse(amount, info.data["currency"]).minor > MAXIMUM_CHARGE:
            raise ValueError("above the largest chargeable amount")
        return amount

    def data(self) -> NewShippingRate:
        given = self.model_dump(exclude={"fee", "free_from"})
        return NewShippingRate(fee_minor=self._minor(self.fee), free_from_minor=self._minor(self.free_from), **given)

    def _minor(self, amount: Decimal | None) -> int | None:
        return None if amount is None else Money.parse(amount, self.currency).minor


class RatesWanted(Body):
    """Rates that are brought in together: all of them, or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "taxRates": [{"country": "US", "region": "IL", "rate": "8.25", "validFrom": "2026-01-01"}],
                    "shippingRates": [
                        {
                            "option": "standard",
                            "country": "US",
                            "fee": "5.95",
                            "service": "Ground",
                            "validFrom": "2026-01-01",
                        }
                    ],
                }
            ]
        }
    )

    # Of thousands only the first bad one is told: to tell of each costs more than to bring them all in.
    tax_rates: Annotated[list[TaxRateWanted], FailFast()] = Field(default=[], max_length=MAX_RATES)
    shipping_rates: Annotated[list[ShippingRateWanted], FailFast()] = Field(default=[], max_length=MAX_RATES)


def _unset(value: Any) -> bool:
    return value is None


class TaxRateView(Wire):
    country: str
    region: str
    category: str
    rate: str = Field(description="in percent", examples=["8.25"])
    inclusive: bool
    valid_from: date

    @classmethod
    def of(cls, row: TaxRateRow) -> TaxRateView:
        return cls(rate=as_percent(row.rate_ppm), **row.model_dump(exclude={"rate_ppm"}))


class ShippingRateView(Wire):
    option: str
    country: str
    currency: str
    fee: str | None
    free_from: str | None = Field(default=None, exclude_if=_unset)
    service: str | None = Field(default=None, exclude_if=_unset)
    days: int | None = Field(default=None, exclude_if=_unset)
    valid_from: date

    @classmethod
    def of(cls, row: ShippingRateRow) -> ShippingRateView:
        def money(minor: int | None) -> str | None:
            return None if minor is None else Money(minor=minor, currency=row.currency).decimal

        plain = row.model_dump(exclude={"fee_minor", "free_from_minor"})
        return cls(fee=money(row.fee_minor), free_from=money(row.free_from_minor), **plain)


class RatesView(Wire):
    tax_rates: list[TaxRateView]
    shipping_rates: list[ShippingRateView]


class RatesBroughtIn(Wire):
    tax_rates: int = Field(description="how many were brought in")
    shipping_rates: int
