"""All settings in one place, read from the environment once, at the entry points, and passed down.

Defaults serve the embedded stack on loopback; a placeholder secret is refused as soon as a part is elsewhere.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from adapters.cart_settings import CartSettings
from adapters.consumer_settings import ConsumerSettings
from adapters.event_settings import EventSettings
from adapters.http_settings import HttpSettings
from adapters.identity_settings import LOOPBACK, IdentitySettings
from adapters.limit_settings import LimitSettings
from adapters.privacy_settings import PrivacySettings
from adapters.secret_settings import SecretSettings
from adapters.temporal_settings import TemporalSettings
from adapters.webhook_settings import WebhookSettings
from adapters.worker_settings import WorkerSettings
from domain.parcels import PLACEHOLDER_ORIGIN, ShippingOrigin

PLACEHOLDER_PREFIXES = ("sk_test_ordersaga", "whsec_ordersaga", "carrier_ordersaga", "service_ordersaga")
SECRETS = (
    "stripe_api_key",
    "stripe_webhook_secret",
    "carrier_api_key",
    "carrier_webhook_secret",
    "service_secret",
    "blind_index_secret",
)


def _usual(name: str) -> AliasChoices:
    """A setting whose usual name in the field has no prefix of ours; the prefixed one comes first."""
    return AliasChoices(f"ORDERSAGA_{name}", name)


class Settings(
    SecretSettings,
    TemporalSettings,
    EventSettings,
    CartSettings,
    ConsumerSettings,
    HttpSettings,
    IdentitySettings,
    LimitSettings,
    PrivacySettings,
    WebhookSettings,
    WorkerSettings,
):
    model_config = SettingsConfigDict(
        env_prefix="ORDERSAGA_",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # it holds secrets, and an error at start ends in a log
    )

    database_url: SecretStr = Field(
        default=SecretStr("postgresql://ordersaga:ordersaga@127.0.0.1:5432/ordersaga"),
        validation_alias=_usual("DATABASE_URL"),
        description="PostgreSQL 15 or later",
    )
    database_pool_size: int = Field(default=20, ge=1, description="connections per process")
    database_connect_timeout: float = Field(default=5.0, gt=0, description="seconds to open a connection")
    database_statement_timeout: float = Field(
        default=15.0, gt=0, description="seconds for one statement; a transaction may take twice as long"
    )
    database_idle_in_transaction_timeout: float = Field(
        default=10.0, gt=0, description="seconds after which a client that vanished in a transaction loses its locks"
    )

    task_queue: str = Field(default="orders", min_length=1, description="where workers look for orders")

    stripe_api_key: SecretStr = Field(
        default=SecretStr("sk_test_ordersaga_simulator"),
        validation_alias=_usual("STRIPE_API_KEY"),
        description="Stripe's secret key",
    )
    stripe_webhook_secret: SecretStr = Field(
        default=SecretStr("whsec_ordersaga_simulator"),
        validation_alias=_usual("STRIPE_WEBHOOK_SECRET"),
        description="of the webhook endpoint at Stripe, made with the SDK's own API version",
    )
    stripe_api_base: str | None = Field(None, description="the simulator's address; unset means Stripe itself")
    stripe_timeout: float = Field(default=10.0, gt=0, description="seconds for one request to Stripe")

    carrier_api_base: str = Field(default="http://127.0.0.1:12112", description="the carrier's address")
    carrier_api_key: SecretStr = Field(
        default=SecretStr("carrier_ordersaga_simulator"), description="the carrier's API key"
    )
    carrier_webhook_secret: SecretStr = Field(
        default=SecretStr("carrier_ordersaga_webhooks"), description="signs the carrier's webhooks"
    )
    carrier_timeout: float = Field(default=10.0, gt=0, description="seconds for one request to the carrier")
    carrier_currency: str = Field(
        default="USD",
        pattern="^[A-Z]{3}$",
        description="in which labels are paid; rates in another one are not taken",
    )
    shipping_origin: ShippingOrigin = Field(
        default=PLACEHOLDER_ORIGIN,
        description='where parcels come from, as JSON: `{"street1": ..., "city": ..., "zip": ..., "country": "US"}`, '
        "with `name`, `company`, `street2`, `state`, `phone` where there are any",
    )
    parcel_weight: float = Field(default=16.0, gt=0, description="ounces; of every parcel, since products have none")
    delivery_days: int | None = Field(
        default=None,
        ge=1,
        description="a label has to promise delivery within so many days; unset takes the cheapest",
    )
    void_settles: Literal["confirmed", "accepted"] = Field(
        default="confirmed",
        description="stock and money of a canceled order go back when the carrier has `confirmed` that the label is "
        "void, which may take 30 days, or `accepted` the wish, while the warehouse keeps the parcel",
    )
    void_patience: timedelta = Field(
        default=timedelta(days=21),
        ge=timedelta(0),
        description="how long a void may wait for the carrier before a person is called; USPS takes 15 days or more",
    )

    checkout_budget: float = Field(
        default=10.0, gt=0, description="seconds a checkout waits for its answer; then 202 and a link"
    )
    max_checkouts: int = Field(
        default=50,
        ge=1,
        description="checkouts in flight per API process; one more is answered 503; fewer while the machine is slow",
    )
    max_checkout_wait: float = Field(
        default=10.0,
        gt=0,
        description="seconds that an order may wait for a worker before further checkouts are answered 503",
    )
    max_listeners: int = Field(
        default=500, ge=0, description="live streams of orders' events per API process; one more is answered 503"
    )
    grace_period: timedelta = Field(
        default=timedelta(0),
        description="how long a confirmed order waits for a change of mind before it ships",
    )
    payment_retry_window: timedelta = Field(
        default=timedelta(0),
        description="how long a declined order waits for another payment method; 0 rejects it at once",
    )
    customer_patience: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="how long a customer has for 3-D Secure before the order is undone",
    )
    sweep_interval: float = Field(
        default=15.0, gt=0, description="seconds at most between two looks of an idle relay for webhooks and refunds"
    )
    inbox_kept: timedelta = Field(
        default=timedelta(days=30),
        ge=timedelta(days=7),
        description="how long a webhook's row stays after it was followed up; Stripe delivers again for 3 days and "
        "lists its events for 30",
    )

    reconcile_every: timedelta = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        description="between two comparisons of the books: workflows, Stripe's payments, our rows",
    )
    reconcile_after: timedelta = Field(
        default=timedelta(minutes=10),
        ge=timedelta(0),
        description="how long an order has to be unchanged before the reconciliation looks at it",
    )
    fault_retry: timedelta = Field(
        default=timedelta(minutes=1),
        gt=timedelta(0),
        description="between two tries of a step that a fault of ours holds up, e.g. an account without funds",
    )
    brake_orders: int = Field(
        default=10, ge=1, description="so many orders that would end by our own fault within the window may brake"
    )
    brake_share: float = Field(
        default=0.05, ge=0, le=1, description="and they do when they are more than this share of those placed in it"
    )
    brake_window: timedelta = Field(
        default=timedelta(minutes=10), gt=timedelta(0), description="the time in which these orders are counted"
    )
    reconcile_stop_orders: int = Field(
        default=20,
        ge=0,
        description="a reconciliation that would undo more orders than this, and more than the share below, undoes "
        "none and calls a person",
    )
    reconcile_stop_share: float = Field(
        default=0.05, ge=0, le=1, description="of the orders that it has looked at; 1 never stops it"
    )
    event_catch_up_every: timedelta = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        description="between two looks for events of Stripe that were never delivered",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="of our own lines; libraries never say more than info"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="console is for people")
    metrics_host: str = Field(
        default="127.0.0.1", description="the IP address that the metrics ports below are bound to"
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="the worker's Prometheus port, one per process; 0 is off"
    )
    relay_metrics_port: int = Field(default=0, ge=0, le=65535, description="likewise the relay's")
    api_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="of the API's Temporal client, beside its own /metrics; 0 is off"
    )
    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("ORDERSAGA_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="base URL of an OTLP/HTTP collector, e.g. http://127.0.0.1:4318; unset means no traces",
    )

    @field_validator("delivery_days", mode="before")
    @classmethod
    def _take_empty_as_unset(cls, given: Any) -> Any:
        return None if given == "" else given

    @field_validator("database_url")
    @classmethod
    def _refuse_other_databases(cls, url: SecretStr) -> SecretStr:
        scheme, _, _ = url.get_secret_value().partition("://")
        if scheme.split("+")[0] not in ("postgresql", "postgres"):
            raise ValueError("DATABASE_URL must be a postgresql:// URL")
        return url

    @model_validator(mode="after")
    def _refuse_placeholders_outside_loopback(self) -> Self:
        elsewhere = [
            name
            for name, url in (
                ("database_url", self.database_url.get_secret_value()),
                ("public_url", self.public_url),
            )
            if (urlsplit(url).hostname or "") not in LOOPBACK
        ]
        if self.stripe_api_base is None and not self.has_placeholder("stripe_api_key"):
            elsewhere.append("stripe_api_base")
        if not elsewhere:
            return self
        for name in SECRETS:
            if self.has_placeholder(name):
                raise ValueError(f"{name} is a placeholder, but {elsewhere[0]} is not on this machine: set it")
        if self.shipping_origin == PLACEHOLDER_ORIGIN:
            raise ValueError(f"shipping_origin is a placeholder, but {elsewhere[0]} is not on this machine: set it")
        if self.webhook_private_targets:
            raise ValueError(f"webhook_private_targets is for development: {elsewhere[0]} is not on this machine")
        if self.has_no_master_key():
            raise ValueError(f"customer_keys_file is not set, but {elsewhere[0]} is not on this machine: set it")
        return self.without_a_file_of_keys_elsewhere()

    def has_placeholder(self, name: str) -> bool:
        secret: SecretStr = getattr(self, name)
        return secret.get_secret_value().startswith(PLACEHOLDER_PREFIXES)

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with the driver that this project uses."""
        _, _, rest = self.database_url.get_secret_value().partition("://")
        return f"postgresql+asyncpg://{rest}"

    @property
    def tells_metrics_with_requests(self) -> bool:
        """Whether `/metrics` is on the API's own port: everybody who reaches the one then reaches the other."""
        return not self.api_prometheus_port and (urlsplit(self.public_url).hostname or "") in LOOPBACK

    @property
    def stripe_is_live(self) -> bool:
        return self.stripe_api_key.get_secret_value().startswith(("sk_live_", "rk_live_"))
