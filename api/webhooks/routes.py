"""Webhooks of Stripe and of the carrier: verified, stored once, answered at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request

from api.deps import ServicesDep
from api.http.problems import documented
from api.webhooks.schemas import CarrierEvent, Received, StripeEvent, parse_event
from api.webhooks.signatures import check_carrier, check_stripe
from domain.webhooks import Arrived, Source

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("/stripe", status_code=202, responses=documented(400, 422), summary="Events of Stripe")
async def stripe_event(
    request: Request, services: ServicesDep, stripe_signature: Annotated[str | None, Header()] = None
) -> Received:
    """What an event says is not believed: the payment's current state is retrieved later, by the relay."""
    raw = await request.body()
    check_stripe(raw, stripe_signature, services.settings.stripe_webhook_secret)
    event = parse_event(StripeEvent, raw)
    is_new = await services.inbox.take_in(Arrived(Source.STRIPE, event.id, event.type, event.payment_intent_id))
    return Received(event_id=event.id, duplicate=not is_new)


@router.post("/carrier", status_code=202, responses=documented(400, 422), summary="Events of the carrier")
async def carrier_event(
    request: Request, services: ServicesDep, x_hmac_signature: Annotated[str | None, Header()] = None
) -> Received:
    """What an event says is not believed: the parcel's current state is retrieved later, by the relay."""
    raw = await request.body()
    check_carrier(raw, x_hmac_signature, services.settings.carrier_webhook_secret)
    event = parse_event(CarrierEvent, raw)
    is_new = await services.inbox.take_in(
        Arrived(Source.CARRIER, event.id, event.description, event.result.shipment_id)
    )
    return Received(event_id=event.id, duplicate=not is_new)
