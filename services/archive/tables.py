"""The table of the event archive: every event, one partition a month."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import json_column, time_column


class ArchivedEvent(SQLModel, table=True):
    """An event as it was published; append-only, by a trigger. A repeat has the same id and time, and is there.

    The month's partitions are made when their first event comes (`archive.py`); an old one is dropped as a whole.
    """

    __tablename__ = "event_archive"
    __table_args__ = (
        Index("ix_event_archive_source_subject_sequence", "source", "subject", "sequence"),
        {"postgresql_partition_by": "RANGE (time)"},
    )

    time: datetime = time_column(primary_key=True)
    event_id: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    sequence: int = Field(sa_type=BigInteger)
    partition: int  # of the stream: who reads one again needs only its events
    type: str = Field(sa_type=Text)
    traceparent: str | None = Field(default=None, sa_type=Text)
    data: dict[str, Any] = json_column()
    archived_at: datetime = time_column(sa_column_kwargs={"server_default": text("now()")})
