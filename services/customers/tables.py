"""The table of customers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import maybe_time_column, time_column


class Customer(SQLModel, table=True):
    """Somebody who may order."""

    __tablename__ = "customers"
    __table_args__ = (
        Index("ix_customers_email_index", "email_index"),
        Index(
            "ix_customers_clear", "customer_id", postgresql_where=text("name IS NOT NULL OR email IS NOT NULL")
        ),  # what is still to be sealed
        Index(
            "ix_customers_erased",
            "customer_id",
            postgresql_where=text("erased_at IS NOT NULL"),
        ),
    )

    customer_id: str = Field(primary_key=True, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)  # in clear: of rows from before the sealing
    email: str | None = Field(default=None, sa_type=Text)  # likewise
    name_sealed: str | None = Field(default=None, sa_type=Text)
    email_sealed: str | None = Field(default=None, sa_type=Text)
    email_index: str | None = Field(default=None, sa_type=Text)  # `Vault.blind_index`
    stripe_customer_id: str | None = Field(default=None, sa_type=Text, unique=True)  # once a card was kept for later
    created_at: datetime = time_column()
    locale: str | None = Field(default=None, sa_type=Text)  # of messages to them, e.g. `de`; None: the shop's
    erased_at: datetime | None = maybe_time_column()  # nothing is sent to them any more
