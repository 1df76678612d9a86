"""The table of the inbox: events of the far ends, each stored once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import maybe_json_column, maybe_time_column, time_column


class InboxEvent(SQLModel, table=True):
    """A webhook event, stored once; ids only, since the current state is retrieved and bodies hold personal data."""

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        Index("ix_webhook_inbox_unprocessed", "received_at", postgresql_where=text("processed_at IS NULL")),
        # What may leave, oldest first.
        Index("ix_webhook_inbox_processed", "processed_at", postgresql_where=text("processed_at IS NOT NULL")),
    )

    source: str = Field(primary_key=True, sa_type=Text)  # "stripe" or "carrier"
    event_id: str = Field(primary_key=True, sa_type=Text)
    type: str = Field(sa_type=Text)
    object_id: str = Field(sa_type=Text)  # the PaymentIntent or the carrier's shipment
    received_at: datetime = time_column()
    attempted_at: datetime = time_column()  # when a process last took it on: others leave it alone for a while
    processed_at: datetime | None = maybe_time_column()
    # Of an event that may be an echo of a step of ours which has not written yet (`domain/echoes.py`): no bodies.
    says: dict[str, Any] | None = maybe_json_column()
    last_error: str | None = Field(default=None, sa_type=Text)
