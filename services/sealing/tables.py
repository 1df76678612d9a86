"""The table of the customers' data keys, each wrapped by a master key that is not in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import maybe_time_column, time_column
from domain.data_classes import Purpose


class CustomerKey(SQLModel, table=True):
    """A customer's key for one purpose; a destroyed one is a row without the key, so that no other is ever made.

    `customer_id` is no foreign key: its check would lock the customer's row.
    """

    __tablename__ = "customer_keys"
    __table_args__ = (
        CheckConstraint("purpose IN (" + ", ".join(f"'{one}'" for one in Purpose) + ")", name="purpose_known"),
        CheckConstraint("(wrapped IS NULL) = (destroyed_at IS NOT NULL)", name="destroyed_is_gone"),
        Index("ix_customer_keys_key_id", "key_id", postgresql_where=text("wrapped IS NOT NULL")),
        Index("ix_customer_keys_due_at", "due_at", postgresql_where=text("wrapped IS NOT NULL")),
    )

    customer_id: str = Field(primary_key=True, sa_type=Text)
    purpose: str = Field(primary_key=True, sa_type=Text)
    key_id: str = Field(sa_type=Text)  # of the master key that has wrapped it
    wrapped: str | None = Field(default=None, sa_type=Text)  # base64
    created_at: datetime = time_column()
    due_at: datetime | None = maybe_time_column()  # when it is to be destroyed
    destroyed_at: datetime | None = maybe_time_column()
