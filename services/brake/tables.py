"""The tables of the brake: the orders that would end by our own fault, and when they were held."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

import services.orders.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import maybe_time_column, time_column


class BrakePull(SQLModel, table=True):
    """From its pull until an operator releases it no order is turned back by our own fault; at most one is on."""

    __tablename__ = "brake_pulls"
    __table_args__ = (
        CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="by_somebody"),
        Index("uq_brake_pulls_one_on", text("(true)"), unique=True, postgresql_where=text("released_at IS NULL")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    pulled_at: datetime = time_column()
    why: str = Field(sa_type=Text)
    released_at: datetime | None = maybe_time_column()
    released_by: str | None = Field(default=None, sa_type=Text)
    note_id: str | None = Field(default=None, sa_type=Text)  # of the text in which they said why


class EndByOurFault(SQLModel, table=True):
    """An order that would be turned back by our own fault; `turn` counts how often it came to that."""

    __tablename__ = "ends_by_our_fault"
    __table_args__ = (Index("ix_ends_by_our_fault_at", "at"), Index("ix_ends_by_our_fault_pull_id", "pull_id"))

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    turn: int = Field(primary_key=True)
    at: datetime = time_column()
    step: str = Field(sa_type=Text)
    code: str = Field(sa_type=Text)
    # That has held it: the step is tried again once it is released.
    pull_id: int | None = Field(default=None, foreign_key="brake_pulls.id", sa_type=BigInteger)
