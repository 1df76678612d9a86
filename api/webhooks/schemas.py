"""The few fields of webhooks that are read: ids, and what an echo says. Ids are checked like any input."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import stripe
from pydantic import BaseModel, StringConstraints, ValidationError

from api.http.fields import Wire
from api.http.problems import field_name
from api.http.statuses import ForeignBody, Malformed
from domain.echoes import Echo, of_parcel, of_payment
from domain.errors import BadField

API_VERSION = stripe.api_version  # what the SDK sends, so that events have the shape that it reads

Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:-]+$")]
Kind = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100, pattern=r"^[a-z0-9_.]+$")]


class Expanded(BaseModel):
    id: Id


class StripeObject(BaseModel):
    """A PaymentIntent or what belongs to one; of the fields without a check, a wrong one only makes it no echo."""

    object: Kind
    id: Id | None = None
    payment_intent: Id | Expanded | None = None
    status: Any = None
    amount: Any = None
    currency: Any = None
    review: Any = None
    amount_received: Any = None
    amount_capturable: Any = None
    captured: Any = None
    amount_captured: Any = None
    amount_refunded: Any = None
    disputed: Any = None


class StripeData(BaseModel):
    object: StripeObject


class StripeEvent(BaseModel):
    id: Id
    type: Kind
    data: StripeData
    api_version: Any = None

    @property
    def payment_intent_id(self) -> str | None:
        about = self.data.object
        if about.object == "payment_intent":
            return about.id
        return about.payment_intent.id if isinstance(about.payment_intent, Expanded) else about.payment_intent

    @property
    def echo(self) -> Echo | None:
        """Of an event in the API version that we read; another one's fields may mean something else."""
        return of_payment(self.type, self.data.object.__dict__) if self.api_version == API_VERSION else None


class CarrierResult(BaseModel):
    shipment_id: Id
    status: Any = None
    tracking_details: Any = None


class CarrierEvent(BaseModel):
    id: Id
    description: Kind
    result: CarrierResult

    @property
    def echo(self) -> Echo | None:
        return of_parcel(self.description, self.result.__dict__)


class Received(Wire):
    event_id: str
    duplicate: bool


EventT = TypeVar("EventT", bound=BaseModel)


def parse_event(kind: type[EventT], raw: bytes) -> EventT:
    """The event. Raises Malformed for what is not JSON, else ForeignBody that names the bad fields."""
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
    if any(one["type"] == "json_invalid" for one in found):
        raise Malformed("malformed_json", "the body is not well-formed JSON")
    fields = [BadField(field_name(("body", *one["loc"])), one["msg"]) for one in found]
    raise ForeignBody("invalid_request", "the event has bad fields", fields=fields)
