"""Webhooks to merchants: endpoints, their secrets, and what was delivered."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Response

from api.deps import ServicesDep
from api.http.exact_json import ExactJsonRoute
from api.http.pages import DIGITS
from api.http.problems import documented
from api.merchant_webhooks import endpoints
from api.merchant_webhooks.schemas import (
    DeliveryList,
    DeliveryQuery,
    DeliveryView,
    EndpointBody,
    EndpointList,
    EndpointPatch,
    EndpointView,
    RedeliveredView,
    RedeliveryWanted,
    RegisteredView,
    RotationWanted,
    SecretView,
    SentView,
)
from domain.errors import NotFound
from domain.identifiers import is_identifier

router = APIRouter(prefix="/api/webhook-endpoints", tags=["merchant webhooks"], route_class=ExactJsonRoute)

log = structlog.get_logger()


def _endpoint_id(endpoint_id: Annotated[str, Path(alias="endpointId")]) -> str:
    if not is_identifier(endpoint_id):
        raise NotFound("no_such_webhook_endpoint", "there is no webhook endpoint of this id")
    return endpoint_id


def _delivery_id(delivery_id: Annotated[str, Path(alias="deliveryId")]) -> int:
    if not (delivery_id.isascii() and delivery_id.isdigit() and len(delivery_id) <= DIGITS):
        raise NotFound("no_such_delivery", "this endpoint has no delivery of this number; old ones leave the log")
    return int(delivery_id)


EndpointIdDep = Annotated[str, Depends(_endpoint_id)]
DeliveryIdDep = Annotated[int, Depends(_delivery_id)]


@router.get("", responses=documented(), summary="List webhook endpoints")
async def list_endpoints(services: ServicesDep) -> EndpointList:
    return EndpointList(endpoints=await endpoints.list_endpoints(services))


@router.post("", status_code=201, responses=documented(400, 409, 415, 422), summary="Register a webhook endpoint")
async def register(services: ServicesDep, wanted: EndpointBody, response: Response) -> RegisteredView:
    """It gets what happens from now on. The secret is in this answer only."""
    registered = await endpoints.register(services, wanted)
    response.headers["Location"] = f"/api/webhook-endpoints/{registered.endpoint_id}"
    response.headers["Cache-Control"] = "no-store"
    log.info("webhook_endpoint_registered", endpoint=registered.endpoint_id)
    return registered


@router.get("/{endpointId}", responses=documented(404), summary="One webhook endpoint")
async def get_endpoint(services: ServicesDep, endpoint_id: EndpointIdDep) -> EndpointView:
    return await endpoints.read_endpoint(services, endpoint_id)


@router.patch("/{endpointId}", responses=documented(400, 404, 415, 422), summary="Change a webhook endpoint")
async def change(services: ServicesDep, endpoint_id: EndpointIdDep, patch: EndpointPatch) -> EndpointView:
    """Made active again it gets what it has missed, in order, as far as the log goes back."""
    changed = await endpoints.change(services, endpoint_id, patch)
    log.info("webhook_endpoint_changed", endpoint=endpoint_id, state=changed.state.value)
    return changed


@router.delete(
    "/{endpointId}", status_code=204, responses=documented(404), summary="Delete a webhook endpoint and its secrets"
)
async def delete(services: ServicesDep, endpoint_id: EndpointIdDep) -> None:
    await endpoints.delete(services, endpoint_id)
    log.info("webhook_endpoint_deleted", endpoint=endpoint_id)


@router.post("/{endpointId}/rotate", responses=documented(400, 404, 415, 422), summary="A new secret")
async def rotate(
    services: ServicesDep, endpoint_id: EndpointIdDep, response: Response, wanted: RotationWanted | None = None
) -> SecretView:
    """For a while deliveries carry two signatures, so that the merchant can change over without missing one."""
    rotated = await endpoints.rotate(services, endpoint_id, wanted.overlap_seconds if wanted else None)
    response.headers["Cache-Control"] = "no-store"
    log.warning("webhook_secret_rotated", endpoint=endpoint_id)
    return rotated


@router.post("/{endpointId}/test", status_code=HTTPStatus.ACCEPTED, responses=documented(404), summary="Send a test")
async def send_test(services: ServicesDep, endpoint_id: EndpointIdDep) -> SentView:
    """Tried once within a second, also at a disabled endpoint; the log tells what came of it."""
    return SentView(delivery_id=str(await endpoints.send_test(services, endpoint_id)))


@router.get("/{endpointId}/deliveries", responses=documented(404, 422), summary="The log of an endpoint's deliveries")
async def list_deliveries(
    services: ServicesDep, endpoint_id: EndpointIdDep, query: Annotated[DeliveryQuery, Query()]
) -> DeliveryList:
    """Newest first."""
    return await endpoints.list_deliveries(services, endpoint_id, query)


@router.get("/{endpointId}/deliveries/{deliveryId}", responses=documented(404), summary="One delivery with its tries")
async def get_delivery(services: ServicesDep, endpoint_id: EndpointIdDep, delivery_id: DeliveryIdDep) -> DeliveryView:
    return await endpoints.read_delivery(services, endpoint_id, delivery_id)


@router.post(
    "/{endpointId}/deliveries/{deliveryId}/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(404, 409),
    summary="Send a delivery again",
)
async def redeliver(services: ServicesDep, endpoint_id: EndpointIdDep, delivery_id: DeliveryIdDep) -> SentView:
    """Under the same `webhook-id`; one that still waits is tried now."""
    await endpoints.send_again(services, endpoint_id, delivery_id)
    return SentView(delivery_id=str(delivery_id))


@router.post(
    "/{endpointId}/redeliveries",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(400, 404, 409, 415, 422),
    summary="Send the deliveries of a time again",
)
async def redeliver_all(
    services: ServicesDep, endpoint_id: EndpointIdDep, wanted: RedeliveryWanted
) -> RedeliveredView:
    """In their order, before anything of their subjects that is newer."""
    number = await endpoints.send_all_again(services, endpoint_id, wanted)
    log.warning("webhooks_redelivered", endpoint=endpoint_id, deliveries=number)
    return RedeliveredView(deliveries=number)
