"""The settings of what is published: broker, retention, routes. Part of `settings.py`, which is what to import."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
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
