"""The table of customers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import maybe_time_column, time_column


class Customer(SQLModel, table=True):
    """Somebody who may order."""

    __tablename__ = "customers"

    customer_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    email: str = Field(sa_type=Text)
    stripe_customer_id: str | None = Field(default=None, sa_type=Text, unique=True)  # once a card was kept for later
    created_at: datetime = time_column()
    locale: str | None = Field(default=None, sa_type=Text)  # of messages to them, e.g. `de`; None: the shop's
    erased_at: datetime | None = maybe_time_column()  # nothing is sent to them any more
