"""What is asked of webhooks to merchants over HTTP, and what is told of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import Row

from api.http.fields import Body, Identifier, Text500, Wire
from api.http.pages import PageQuery
from domain.merchant_webhooks import EVERYTHING, DeliveryState, Disabled, EndpointState
from services.merchant_webhooks.endpoints import EndpointChange, EndpointWanted
from services.merchant_webhooks.tables import WebhookEndpoint

LONGEST_OVERLAP = timedelta(days=30)


def _no_control_characters(value: str) -> str:
    if not value.isprintable():
        raise ValueError("only printable characters")
    return value


Url = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2000)]
Events = Annotated[
    list[Annotated[str, StringConstraints(strict=True, max_length=200)]],
    Field(
        min_length=1,
        max_length=100,
        description="`OrderPlaced`, `ordersaga.order.placed.v1` for one version of it, or `*` for all (`/events`)",
    ),
]
Description = Annotated[Text500, AfterValidator(_no_control_characters)]


class EndpointBody(Body):
    """Where a merchant wants which events."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://shop.example/webhooks", "events": ["OrderShipped", "OrderDelivered"]}]
        }
    )

    url: Url = Field(description="https; a public address")
    events: Events = Field(default_factory=lambda: [EVERYTHING])
    description: Description = ""

    def wanted(self) -> EndpointWanted:
        return EndpointWanted(self.url, self.events, self.description)


class EndpointPatch(Body):
    """What is to be another one; what is left out stays."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    state: EndpointState | None = Field(
        default=None, description="`active` also forgets earlier failures, and sends what has waited"
    )

    def change(self) -> EndpointChange:
        return EndpointChange(self.url, self.events, self.description, self.state)


class RotationWanted(Body):
    """For how long the old secret signs as well; 0 for one that others have got hold of."""

    overlap_seconds: int | None = Field(
        default=None,
        ge=0,
        le=int(LONGEST_OVERLAP.total_seconds()),
        description="else `ORDERSAGA_WEBHOOK_ROTATION`",
    )


class RedeliveryWanted(Body):
    """Which deliveries are sent again: those noted in a time that were given up, or all that have ended."""

    since: AwareDatetime = Field(alias="from", description="events that were noted then or later")
    until: AwareDatetime | None = Field(default=None, alias="to", description="and before this; now if left out")
    everything: bool = Field(default=False, description="also what was delivered, for a merchant who lost it")

    @model_validator(mode="after")
    def _refuse_an_empty_time(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError("`to` has to be later than `from`")
        return self


class DeliveryQuery(PageQuery):
    """The filters of the log."""

    state: DeliveryState | None = None
    event: str | None = Field(default=None, max_length=200, description="a name or a type, e.g. `OrderPlaced`")
    subject: Identifier | None = Field(default=None, description="an order's id, or a product's")


class EndpointView(Wire):
    """An endpoint; its secret is never shown again."""

    endpoint_id: str
    url: str
    events: list[str]
    description: str
    state: EndpointState
    disabled_because: Disabled | None = None
    failures: int = Field(description="in a row; those of tries that began together count once")
    resting_until: datetime | None = Field(default=None, description="after failures: nothing is sent before")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: WebhookEndpoint) -> Self:
        return cls.model_validate(endpoint, from_attributes=True)


class RegisteredView(EndpointView):
    secret: str = Field(description="what deliveries are signed with; shown only now", examples=["whsec_..."])


class EndpointList(Wire):
    endpoints: list[EndpointView]


class SecretView(Wire):
    secret: str = Field(description="the new one, shown only now; deliveries are signed with it from now on")
    old_until: datetime | None = Field(description="until then they are signed with the old one, too")


class TryView(Wire):
    """One try of a delivery."""

    at: datetime
    seconds: float
    status: int | None = Field(default=None, description="of the answer")
    error: str | None = Field(
        default=None,
        description="why there is none: timeout, name_not_found, not_connected, tls, closed, address_not_public",
    )
    answer: str = Field(default="", description="its first characters")


class DeliverySummary(Wire):
    delivery_id: str
    event_id: str = Field(description="the `webhook-id`, the same in every try")
    type: str
    subject: str
    sequence: int
    state: DeliveryState
    attempts: int
    last: TryView | None = Field(default=None, description="the latest try")
    due_at: datetime | None = Field(default=None, description="of one that waits: its next try at the earliest")
    created_at: datetime
    ended_at: datetime | None = None

    @classmethod
    def values(cls, row: Row[Any]) -> dict[str, Any]:
        waits = row.state == DeliveryState.WAITING
        return row._asdict() | {
            "delivery_id": str(row.id),
            "last": row.tries[-1] if row.tries else None,
            "due_at": row.due_at if waits else None,
        }

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        return cls.model_validate(cls.values(row))


class DeliveryView(DeliverySummary):
    tries: list[TryView] = Field(description="the last twenty, the oldest first")
    body: str = Field(description="as it is sent")


class DeliveryList(Wire):
    deliveries: list[DeliverySummary]
    next_cursor: str | None


class SentView(Wire):
    delivery_id: str = Field(description="whose outcome the log tells")


class RedeliveredView(Wire):
    deliveries: int = Field(description="that are sent again")
