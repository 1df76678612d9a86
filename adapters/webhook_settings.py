"""The settings of webhooks to merchants. Part of `settings.py`, which is what to import."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings


class WebhookSettings(BaseSettings):
    webhook_endpoints: int = Field(default=50, ge=0, description="endpoints of merchants that may be registered")
    webhook_timeout: float = Field(
        default=15.0, gt=0, le=300, description="seconds that a merchant's endpoint has for its answer"
    )
    webhook_concurrency: int = Field(
        default=8, ge=1, description="deliveries at a time to one endpoint, per relay; one alone while it fails"
    )
    webhook_window: timedelta = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="how long a delivery is tried again after its first try",
    )
    webhook_failures: int = Field(
        default=100,
        ge=1,
        description="failures in a row that disable an endpoint; with the rests between them 100 take about a day",
    )
    webhook_log_kept: timedelta = Field(
        default=timedelta(days=30),
        ge=timedelta(days=2),
        description="how long deliveries are kept; an event that is older is not delivered any more",
    )
    webhook_rotation: timedelta = Field(
        default=timedelta(days=1),
        ge=timedelta(0),
        description="how long deliveries are signed with the old secret, too, when one is rotated",
    )
    webhook_private_targets: bool = Field(
        default=False,
        description="for development: webhooks may go to http, this machine and private networks; refused as soon as "
        "a part is elsewhere",
    )
