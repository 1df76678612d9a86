"""Who says what tax and shipping cost: two ports. By default our own tables do (`from_tables.py`).

A provider may be far away: it is asked while no transaction is open, and one that cannot be reached is an answer
(`Unavailable`), never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.pricing.taxes import Tax

Address = Mapping[str, str]
"""A shipping address as it is stored with an order: `country` is ISO 3166-1 alpha-2, `state` a region of it."""


class StoredRates(NamedTuple):
    """Which of our own tables have rates at all."""

    tax: bool = False
    shipping: bool = False


class NetLine(NamedTuple):
    """A line as a tax calculator sees it: what is left of it after discounts, in minor units."""

    product_id: str
    category: str
    quantity: int
    net: int


@dataclass(frozen=True)
class TaxQuestion:
    """What is sold, where to and when; `fee` is shipping after its discount, in minor units."""

    address: Address
    currency: str
    at: datetime
    lines: Sequence[NetLine]
    fee: int


@dataclass(frozen=True)
class TaxAnswer:
    """The tax of each line in the order of the question, and that of the fee; None where nothing is taxed."""

    lines: Sequence[Tax | None]
    fee: Tax | None = None


@dataclass(frozen=True)
class ShippingQuestion:
    """What is sent where, for `goods` minor units after discounts."""

    address: Address
    currency: str
    at: datetime
    goods: int


class ShippingOption(NamedTuple):
    """A way of shipping: its fee in minor units, the carrier's service that it stands for, and its days."""

    name: str
    fee: int
    service: str | None = None
    days: int | None = None


class TaxCalculator(Protocol):
    """Says what tax an order carries."""

    def applies(self, stored: StoredRates) -> bool:
        """Whether it has anything to say; then an order needs an address."""

    async def quote(self, asked: TaxQuestion) -> TaxAnswer:
        """Raises Unavailable, OSError or TimeoutError where there is no answer now."""


class ShippingRates(Protocol):
    """Says how an order can be shipped, and what that costs its customer."""

    def applies(self, stored: StoredRates) -> bool:
        """Whether it has anything to say; then an order needs an address."""

    async def quote(self, asked: ShippingQuestion) -> Sequence[ShippingOption]:
        """All options for the place; none where nothing is sent there. Raises as `TaxCalculator.quote` does."""


@dataclass(frozen=True)
class Providers:
    """Who is asked for an order."""

    taxes: TaxCalculator
    shipping: ShippingRates

    def apply(self, stored: StoredRates) -> bool:
        """Whether anybody has to be asked."""
        return self.taxes.applies(stored) or self.shipping.applies(stored)
