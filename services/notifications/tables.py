"""The tables of the messages to customers: what was or is to be sent, and what a customer does not want."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import json_column, maybe_time_column, time_column


class MessageState(StrEnum):
    """How a message stands."""

    WAITING = "waiting"  # to be sent when it is due
    SENDING = "sending"  # handed to the mail server, or about to be
    SENT = "sent"
    SKIPPED = "skipped"  # not sent on purpose: `why` says which one
    REFUSED = "refused"  # the mail server does not take it
    DOUBTFUL = "doubtful"  # nobody knows whether it went out: it is not sent again by itself


class Notification(SQLModel, table=True):
    """A message to a customer about one event; neither their address nor its text is kept here."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("event_id"),
        Index("ix_notifications_order_id_id", "order_id", "id"),
        Index("ix_notifications_open", "id", postgresql_where=text("ended_at IS NULL")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    event_id: str = Field(sa_type=Text)
    order_id: str = Field(sa_type=Text)
    customer_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    event: dict[str, Any] = json_column()
    state: str = Field(sa_type=Text)
    why: str | None = Field(default=None, sa_type=Text)
    attempts: int
    due_at: datetime = time_column()
    created_at: datetime = time_column()
    ended_at: datetime | None = maybe_time_column()


class NotificationWish(SQLModel, table=True):
    """Whether a customer wants messages of one kind; without a row they do."""

    __tablename__ = "notification_wishes"

    customer_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    wanted: bool
