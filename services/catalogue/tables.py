"""The table of the catalogue: what can be ordered, at which price."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import time_column
from domain.pricing.lines import STANDARD


class Product(SQLModel, table=True):
    """Something that can be ordered; the price of one piece in minor units of its currency."""

    __tablename__ = "products"
    __table_args__ = (CheckConstraint("price_minor >= 0", name="price_not_negative"),)

    product_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    price_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    tax_category: str = Field(default=STANDARD, sa_type=Text, sa_column_kwargs={"server_default": STANDARD})
    created_at: datetime = time_column()
