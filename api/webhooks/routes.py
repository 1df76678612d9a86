"""Webhooks of Stripe and of the carrier: verified, stored once, answered at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from api.deps import ServicesDep
from api.http.problems import documented
from api.webhooks.schemas import CarrierEvent, Received, StripeEvent, parse_event
from api.webhooks.signatures import check_carrier, check_stripe
from domain.webhooks import Arrived, Source

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

REFUSALS = documented(400, 422)


@router.post(
    "/stripe", status_code=202, response_model=Received, responses=documented(400, 422), summary="Events of Stripe"
)
async def stripe_event(
    request: Request, services: ServicesDep, stripe_signature: Annotated[str | None, Header()] = None
) -> Response:
    """What an event says changes nothing: the relay retrieves the payment, unless our books say the same already."""
    raw = await request.body()
    settings = services.settings
    check_stripe(raw, stripe_signature, settings.stripe_webhook_secret, settings.stripe_webhook_secret_previous)
    event = parse_event(StripeEvent, raw)
    arrived = Arrived(Source.STRIPE, event.id, event.type, event.payment_intent_id, event.echo)
    return _received(arrived, is_new=await services.inbox.take_in(arrived))


@router.post(
    "/carrier",
    status_code=202,
    response_model=Received,
    responses=documented(400, 422),
    summary="Events of the carrier",
)
async def carrier_event(
    request: Request, services: ServicesDep, x_hmac_signature: Annotated[str | None, Header()] = None
) -> Response:
    """What an event says changes nothing: the relay retrieves the parcel, unless our books say the same already."""
    raw = await request.body()
    settings = services.settings
    check_carrier(raw, x_hmac_signature, settings.carrier_webhook_secret, settings.carrier_webhook_secret_previous)
    event = parse_event(CarrierEvent, raw)
    arrived = Arrived(Source.CARRIER, event.id, event.description, event.result.shipment_id, event.echo)
    return _received(arrived, is_new=await services.inbox.take_in(arrived))


def _received(event: Arrived, *, is_new: bool) -> Response:
    said = Received(event_id=event.event_id, duplicate=not is_new)
    return Response(said.model_dump_json(by_alias=True), 202, media_type="application/json")
