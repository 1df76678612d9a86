"""The table of what people say in their own words."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import time_column


class StoredText(SQLModel, table=True):
    """Somebody's own words; `text` is None once they were erased.

    `order_id` is no foreign key: its check would lock the order's row, and a cancel would wait for a running step.
    """

    __tablename__ = "texts"

    id: str = Field(primary_key=True, sa_type=Text)
    order_id: str | None = Field(default=None, sa_type=Text, index=True)  # None: of no one order
    kind: str = Field(sa_type=Text)
    text: str | None = Field(sa_type=Text)
    created_at: datetime = time_column()
