"""The table of what people say in their own words."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text, literal_column
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import time_column


class StoredText(SQLModel, table=True):
    """Somebody's own words, sealed; none at all once they were erased.

    `order_id` is no foreign key: its check would lock the order's row, and a cancel would wait for a running step.
    """

    __tablename__ = "texts"
    __table_args__ = (
        Index("ix_texts_clear", "id", postgresql_where=literal_column("text IS NOT NULL")),  # to be sealed
    )

    id: str = Field(primary_key=True, sa_type=Text)
    order_id: str | None = Field(default=None, sa_type=Text, index=True)  # None: of no one order
    customer_id: str | None = Field(default=None, sa_type=Text, index=True)  # with whose key it is sealed
    kind: str = Field(sa_type=Text)
    text: str | None = Field(default=None, sa_type=Text)  # in clear: of rows from before the sealing
    text_sealed: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = time_column()
