"""The tables of rates, each with the day from which it holds: a later row for the same replaces it from then on."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlmodel import Field, SQLModel


class TaxRateRow(SQLModel, table=True):
    """A rate in parts per million for a country, or for one of its regions ('' is all of it), and a category."""

    __tablename__ = "tax_rates"
    __table_args__ = (CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name="rate_of_a_whole"),)

    country: str = Field(primary_key=True, sa_type=Text)
    region: str = Field(primary_key=True, sa_type=Text)
    category: str = Field(primary_key=True, sa_type=Text)
    valid_from: date = Field(primary_key=True)
    rate_ppm: int = Field(sa_type=BigInteger)
    inclusive: bool


class ShippingRateRow(SQLModel, table=True):
    """What a way of shipping costs to a country ('*' is any other one); without a fee it is no longer offered."""

    __tablename__ = "shipping_rates"
    __table_args__ = (CheckConstraint("fee_minor >= 0 AND free_from_minor >= 0", name="not_negative"),)

    option: str = Field(primary_key=True, sa_type=Text)
    country: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(primary_key=True, sa_type=Text)
    valid_from: date = Field(primary_key=True)
    fee_minor: int | None = Field(default=None, sa_type=BigInteger)
    free_from_minor: int | None = Field(default=None, sa_type=BigInteger)  # goods after discounts
    service: str | None = Field(default=None, sa_type=Text)  # the carrier's name of what is bought
    days: int | None = None
