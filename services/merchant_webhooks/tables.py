"""The tables of webhooks to merchants: endpoints, their secrets, and the log of deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import json_column, maybe_time_column, time_column
from domain.merchant_webhooks import EndpointState


class WebhookEndpoint(SQLModel, table=True):
    """Where a merchant wants events, and which. One that was deleted stays until its deliveries have left."""

    __tablename__ = "webhook_endpoints"

    endpoint_id: str = Field(primary_key=True, sa_type=Text)
    url: str = Field(sa_type=Text)
    events: list[str] = Field(sa_type=ARRAY(Text))
    description: str = Field(default="", sa_type=Text)
    state: str = Field(default=EndpointState.ACTIVE.value, sa_type=Text)
    disabled_because: str | None = Field(default=None, sa_type=Text)
    failures: int = 0  # in a row; those of tries that began together count once
    failed_at: datetime | None = maybe_time_column()  # when the last of them was counted
    resting_until: datetime | None = maybe_time_column()  # it has failed: nothing is sent to it before
    created_at: datetime = time_column()
    updated_at: datetime = time_column()
    deleted_at: datetime | None = maybe_time_column()


class WebhookSecret(SQLModel, table=True):
    """What an endpoint's deliveries are signed with: one secret, or two while it is rotated."""

    __tablename__ = "webhook_secrets"
    __table_args__ = (Index("ix_webhook_secrets_endpoint_id", "endpoint_id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    endpoint_id: str = Field(foreign_key="webhook_endpoints.endpoint_id", sa_type=Text)
    sealed: str = Field(sa_type=Text)  # by `signing_secrets.py`, which alone reads it
    created_at: datetime = time_column()
    expires_at: datetime | None = maybe_time_column()  # None: until it is rotated


class WebhookDelivery(SQLModel, table=True):
    """One event for one endpoint, and what came of each try."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        Index("ix_webhook_deliveries_endpoint_id_id", "endpoint_id", "id"),
        Index("ix_webhook_deliveries_due", "endpoint_id", "due_at", "id", postgresql_where=text("ended_at IS NULL")),
        Index(
            "ix_webhook_deliveries_line",
            "endpoint_id",
            "source",
            "subject",
            "id",
            postgresql_where=text("ended_at IS NULL AND in_order"),
        ),
        Index("ix_webhook_deliveries_tests", "due_at", postgresql_where=text("ended_at IS NULL AND kind = 'test'")),
        Index("ix_webhook_deliveries_given_up", "endpoint_id", "id", postgresql_where=text("state = 'given_up'")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    endpoint_id: str = Field(foreign_key="webhook_endpoints.endpoint_id", sa_type=Text)
    event_id: str = Field(sa_type=Text)  # the `webhook-id`, the same in every try
    kind: str = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    sequence: int = Field(sa_type=BigInteger)
    body: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    in_order: bool  # it holds back later ones of its subject; one that a person has sent again does not
    attempts: int
    tries: list[dict[str, Any]] = json_column()  # the latest, oldest first
    due_at: datetime = time_column()  # of one that is under way: when others may take it over
    claim: str | None = Field(default=None, sa_type=Text)  # of the process that has it under way
    first_tried_at: datetime | None = maybe_time_column()
    created_at: datetime = time_column()
    ended_at: datetime | None = maybe_time_column()
