"""Money as integer minor units with its currency: no float anywhere on the way.

The number of decimals of a currency is Stripe's (https://docs.stripe.com/currencies#zero-decimal and
#three-decimal): what the card is charged decides, not ISO 4217 where the two differ.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from pydantic import BaseModel, ConfigDict, Field

ZERO_DECIMAL = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
THREE_DECIMAL = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])

# Stripe's smallest charge by settlement currency, in minor units
# (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts). A currency that is not listed has no
# minimum of ours: Stripe converts and decides.
MINIMUM_CHARGE = {
    "USD": 50, "AED": 200, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50,
    "GBP": 30, "HKD": 400, "HUF": 17500, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50,
    "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000,
}  # fmt: skip
MAXIMUM_CHARGE = 99_999_999  # eight digits of minor units, the same page


def decimals(currency: str) -> int:
    """The number of digits after the decimal point in `currency` (an upper-case ISO 4217 code): 0, 2 or 3."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


class Money(BaseModel):
    """An exact amount: `minor` units (cents for USD, yen for JPY) of `currency`."""

    model_config = ConfigDict(frozen=True)

    minor: int
    currency: str = Field(pattern=r"^[A-Z]{3}$")

    @classmethod
    def parse(cls, amount: str | int | Decimal, currency: str) -> Money:
        """Reads a decimal amount in major units ("279.98").

        Raises ValueError when it is not a plain number or has more decimals than the currency.
        """
        try:
            value = Decimal(amount)
        except InvalidOperation:
            raise ValueError(f"{amount!r} is not a decimal number") from None
        if not value.is_finite():
            raise ValueError(f"{amount!r} is not a finite amount")
        scaled = value.scaleb(decimals(currency))
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{amount} has more than {decimals(currency)} decimals, which {currency} has not")
        return cls(minor=int(scaled), currency=currency)

    @property
    def decimal(self) -> str:
        """The amount in major units as a plain decimal string: "279.98", "500" for yen."""
        digits = decimals(self.currency)
        return f"{Decimal(self.minor).scaleb(-digits):.{digits}f}"

    def __str__(self) -> str:
        return f"{self.decimal} {self.currency}"


def total(lines: list[tuple[int, int]], currency: str) -> Money:
    """The total of an order: `lines` are pairs of a quantity and a unit price in minor units of `currency`."""
    return Money(minor=sum(quantity * price for quantity, price in lines), currency=currency)


def charge_refusal(amount: Money) -> str | None:
    """Why Stripe would not charge `amount`, in words for the client; None when it would. 0 needs no charge."""
    minimum = MINIMUM_CHARGE.get(amount.currency, 0)
    if 0 < amount.minor < minimum:
        least = Money(minor=minimum, currency=amount.currency)
        return f"a total of {amount} is under the smallest chargeable amount, {least}"
    if amount.minor > MAXIMUM_CHARGE:
        most = Money(minor=MAXIMUM_CHARGE, currency=amount.currency)
        return f"a total of {amount} is above the largest chargeable amount, {most}"
    return None
