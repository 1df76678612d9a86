"""The table of limits. Unlogged: a crash of PostgreSQL empties it, which gives everybody a full bucket."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import time_column


class RateLimit(SQLModel, table=True):
    """A bucket of turns; one that is full again says no more than a row that is not there."""

    __tablename__ = "rate_limits"
    __table_args__ = ({"prefixes": ["UNLOGGED"], "postgresql_with": {"fillfactor": 50}},)

    kind: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)  # whose it is, as an HMAC: no name, no address
    full_at: datetime = time_column()  # when all turns are there again
    taken: int  # by the last statement that took any
