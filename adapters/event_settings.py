"""The settings of what is published: broker, retention, routes. Part of `settings.py`, which is what to import."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

BROKERS = ("nats", "kafka")


class EventSettings(BaseSettings):
    broker_url: SecretStr | None = Field(
        default=None,
        description="where events are published: `nats://user:password@host:4222` (several hosts by commas) or "
        "`kafka://host:9092`; unset leaves them in the outbox",
    )
    broker_consumer_url: SecretStr | None = Field(
        default=None, description="the same for consumers, as a user who may only read; unset takes the one above"
    )
    broker_replicas: int = Field(
        default=1, ge=1, le=5, description="copies that a broker keeps of each event; of a stream that is made anew"
    )
    broker_retention: timedelta = Field(
        default=timedelta(days=30),
        gt=timedelta(0),
        description="how long a broker keeps events; of a stream that is made anew",
    )
    outbox_retention: timedelta = Field(
        default=timedelta(days=7),
        gt=timedelta(0),
        description="how long a published event stays in the outbox, for `ordersaga events replay`",
    )
    sequence_retention: timedelta = Field(
        default=timedelta(days=45),
        description="how long a consumer knows the last event of a subject of which nothing comes any more; longer "
        "than outbox and broker together keep an event, so that a repeat is never taken for news",
    )
    message_retention: timedelta = Field(
        default=timedelta(days=180),
        description="how long a message to a customer stays in the books after it was sent, or was not to be; longer "
        "than sequence_retention, so that a repeat is never sent again",
    )
    event_routes: Path | None = Field(
        default=None,
        description="a TOML file: which events a consumer gets instead of what it asks for itself (docs/events.md)",
    )

    @field_validator("broker_url", "broker_consumer_url", "event_routes", mode="before")
    @classmethod
    def _take_empty_as_none(cls, given: Any) -> Any:
        return None if given == "" else given

    @field_validator("broker_url", "broker_consumer_url")
    @classmethod
    def _refuse_other_brokers(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and urlsplit(url.get_secret_value()).scheme not in BROKERS:
            raise ValueError(f"must begin with one of {', '.join(f'{scheme}://' for scheme in BROKERS)}")
        return url

    @model_validator(mode="after")
    def _know_sequences_for_longer_than_events(self) -> Self:
        """The last copy of an event may be made at the end of its time in the outbox."""
        if self.sequence_retention <= (kept := self.outbox_retention + self.broker_retention):
            both = f"outbox_retention and broker_retention together, which are {kept.total_seconds() / 86400:g} days"
            raise ValueError(f"sequence_retention must be longer than {both}")
        if self.message_retention <= self.sequence_retention:
            raise ValueError("message_retention must be longer than sequence_retention")
        return self
