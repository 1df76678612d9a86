"""The table of the outbox: events that wait for the relay, and those of the last days."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import json_column, maybe_time_column, time_column
from adapters.telemetry import tracing


class OutboxEvent(SQLModel, table=True):
    """An event that waits for the relay; written in the transaction of what it tells."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("source", "subject", "sequence"),
        Index("ix_outbox_waiting", "id", postgresql_where=text("published_at IS NULL AND parked_at IS NULL")),
        Index("ix_outbox_parked", "subject", "id", postgresql_where=text("parked_at IS NOT NULL")),
        Index("ix_outbox_published", "published_at", postgresql_where=text("published_at IS NOT NULL")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    event_id: str = Field(sa_type=Text, unique=True)
    type: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    sequence: int = Field(sa_type=BigInteger)
    time: datetime = time_column()
    traceparent: str | None = Field(default_factory=tracing.traceparent, sa_type=Text)
    data: dict[str, Any] = json_column()
    published_at: datetime | None = maybe_time_column()  # when the broker's acknowledgment was noted
    parked_at: datetime | None = maybe_time_column()  # the broker refused it, or one before it of the same subject
    parked_because: str | None = Field(default=None, sa_type=Text)  # only of the one that was refused
    replay: int = Field(default=0, sa_column_kwargs={"server_default": "0"})  # how often it was asked for again
