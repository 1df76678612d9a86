"""The few fields of webhooks that are read: ids. Signed or not, they are checked like any input."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, StringConstraints, ValidationError

from api.http.fields import Wire
from api.http.problems import field_name
from api.http.statuses import ForeignBody, Malformed
from domain.errors import BadField

Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:-]+$")]
Kind = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100, pattern=r"^[a-z0-9_.]+$")]


class Expanded(BaseModel):
    id: Id


class StripeObject(BaseModel):
    object: Kind
    id: Id | None = None
    payment_intent: Id | Expanded | None = None


class StripeData(BaseModel):
    object: StripeObject


class StripeEvent(BaseModel):
    id: Id
    type: Kind
    data: StripeData

    @property
    def payment_intent_id(self) -> str | None:
        about = self.data.object
        if about.object == "payment_intent":
            return about.id
        return about.payment_intent.id if isinstance(about.payment_intent, Expanded) else about.payment_intent


class CarrierResult(BaseModel):
    shipment_id: Id


class CarrierEvent(BaseModel):
    id: Id
    description: Kind
    result: CarrierResult


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
