"""The table of the scheduled jobs: how far each of them has come."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import time_column


class Cursor(SQLModel, table=True):
    """How far a scheduled job has got, e.g. in Stripe's list of events; `engine` names the orders' own namespace."""

    __tablename__ = "cursors"

    name: str = Field(primary_key=True, sa_type=Text)
    at: datetime = time_column()
    value: str | None = Field(default=None, sa_type=Text)
