"""The tables of the consumers' base: how far each one is, and the events that it could not apply."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import bigint_column, maybe_json_column, maybe_time_column, time_column


class ConsumerPosition(SQLModel, table=True):
    """How far a consumer has read one partition; written in the transaction of the effects.

    `version` grows with every write: whoever has read an older one does not own the partition any more.
    """

    __tablename__ = "consumer_positions"

    consumer: str = Field(primary_key=True, sa_type=Text)
    partition: int = Field(primary_key=True)
    version: int = bigint_column()
    incarnation: str = Field(sa_type=Text)  # of the stream; another one was made anew
    position: int = bigint_column()
    event_id: str | None = Field(default=None, sa_type=Text)  # of the event at `position`
    # While the partition is read again from the archive: `since`, and `after`, the last event read.
    replay: dict[str, Any] | None = maybe_json_column()
    lag: int = bigint_column()  # positions behind the end of the stream when the owner looked last
    behind_since: datetime | None = maybe_time_column()
    seen_at: datetime = time_column()  # when the owner looked last


class ConsumerSequence(SQLModel, table=True):
    """The sequence of the last event of a subject that a consumer has applied or parked.

    `seen_at`: when an event of the subject came last, a repeat among them.
    """

    __tablename__ = "consumer_sequences"

    consumer: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(primary_key=True, sa_type=Text)
    sequence: int = bigint_column()
    seen_at: datetime = time_column(sa_column_kwargs={"server_default": text("now()")})


class DeadLetter(SQLModel, table=True):
    """An event that a consumer could not apply, or that waits behind such a one of its subject."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        UniqueConstraint("consumer", "event_id"),
        Index(
            "ix_dead_letters_waiting",
            "consumer",
            "source",
            "subject",
            "sequence",
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    consumer: str = Field(sa_type=Text)
    partition: int
    event_id: str = Field(sa_type=Text)  # a hash of the body where that is no event
    type: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    sequence: int = bigint_column()
    reason: str = Field(sa_type=Text)  # a code
    detail: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    attempts: int
    parked_at: datetime = time_column()
    retry_at: datetime | None = maybe_time_column()  # an operator wants it tried again
    resolved_at: datetime | None = maybe_time_column()
    resolution: str | None = Field(default=None, sa_type=Text)
    resolved_by: str | None = Field(default=None, sa_type=Text)
