"""Webhook endpoints and their log, as clients ask for them and see them."""

from __future__ import annotations

import uuid
from datetime import timedelta

from adapters.clock import now
from api.deps import Services
from api.http.pages import read_cursor, read_number, write_cursor
from api.merchant_webhooks.schemas import (
    DeliveryList,
    DeliveryQuery,
    DeliverySummary,
    DeliveryView,
    EndpointBody,
    EndpointPatch,
    EndpointView,
    RedeliveryWanted,
    RegisteredView,
    SecretView,
)
from domain.errors import BadField
from domain.event_registry import UnknownEventType, named
from domain.merchant_webhooks import TEST_TYPE, event_of_test
from services.merchant_webhooks import deliveries, endpoints, log
from services.merchant_webhooks.endpoints import Limits
from services.merchant_webhooks.log import LogFilter


def _limits(services: Services) -> Limits:
    return Limits(services.settings.webhook_endpoints, services.settings.webhook_private_targets)


async def register(services: Services, wanted: EndpointBody) -> RegisteredView:
    """Raises InvalidInput, and Conflict where there are too many."""
    async with services.sessions() as session, session.begin():
        endpoint, secret = await endpoints.register(session, wanted.wanted(), _limits(services))
    return RegisteredView(**EndpointView.of(endpoint).model_dump(), secret=secret)


async def list_endpoints(services: Services) -> list[EndpointView]:
    async with services.sessions() as session:
        return [EndpointView.of(one) for one in await endpoints.list_endpoints(session)]


async def read_endpoint(services: Services, endpoint_id: str) -> EndpointView:
    """Raises NotFound."""
    async with services.sessions() as session:
        return EndpointView.of(await endpoints.read_endpoint(session, endpoint_id))


async def change(services: Services, endpoint_id: str, patch: EndpointPatch) -> EndpointView:
    """Raises NotFound and InvalidInput."""
    async with services.sessions() as session, session.begin():
        changed = await endpoints.change_endpoint(session, endpoint_id, patch.change(), _limits(services))
    return EndpointView.of(changed)


async def delete(services: Services, endpoint_id: str) -> None:
    """Raises NotFound."""
    async with services.sessions() as session, session.begin():
        await endpoints.delete_endpoint(session, endpoint_id)


async def rotate(services: Services, endpoint_id: str, overlap_seconds: int | None) -> SecretView:
    """Raises NotFound."""
    overlap = services.settings.webhook_rotation
    if overlap_seconds is not None:
        overlap = timedelta(seconds=overlap_seconds)
    async with services.sessions() as session, session.begin():
        secret, old_until = await endpoints.rotate_secret(session, endpoint_id, overlap)
    return SecretView(secret=secret, old_until=old_until)


async def send_test(services: Services, endpoint_id: str) -> int:
    """The number of the delivery. Raises NotFound."""
    async with services.sessions() as session, session.begin():
        await endpoints.read_endpoint(session, endpoint_id)
        event = event_of_test(endpoint_id, f"test_{uuid.uuid4()}", now())
        return await deliveries.add_test(await session.connection(), endpoint_id, event)


async def list_deliveries(services: Services, endpoint_id: str, query: DeliveryQuery) -> DeliveryList:
    """One page, newest first. Raises NotFound, and InvalidInput for a cursor or an event that there is not."""
    before = None if query.cursor is None else read_number(read_cursor(query.cursor, 1)[0])
    wanted = LogFilter(query.state, _types(query.event), query.subject)
    async with services.sessions() as session:
        await endpoints.read_endpoint(session, endpoint_id)
        connection = await session.connection()
        rows = await log.list_deliveries(connection, endpoint_id, wanted, query.limit + 1, before)
    page = rows[: query.limit]
    return DeliveryList(
        deliveries=[DeliverySummary.of(row) for row in page],
        next_cursor=write_cursor(str(page[-1].id)) if len(rows) > query.limit else None,
    )


def _types(event: str | None) -> list[str] | None:
    if event is None or event == TEST_TYPE:
        return None if event is None else [event]
    try:
        return [one.type for one in named(event)]
    except UnknownEventType as unknown:
        raise UnknownEventType(unknown.code, unknown.detail, fields=[BadField("event", unknown.detail)]) from None


async def read_delivery(services: Services, endpoint_id: str, delivery_id: int) -> DeliveryView:
    """Raises NotFound."""
    async with services.sessions() as session:
        await endpoints.read_endpoint(session, endpoint_id)
        return DeliveryView.of(await log.read_delivery(await session.connection(), endpoint_id, delivery_id))


async def send_again(services: Services, endpoint_id: str, delivery_id: int) -> None:
    """Raises NotFound, and Conflict where the endpoint is disabled."""
    async with services.sessions() as session, session.begin():
        endpoint = await endpoints.read_endpoint(session, endpoint_id, lock=True)
        await log.send_again(await session.connection(), endpoint, delivery_id)


async def send_all_again(services: Services, endpoint_id: str, wanted: RedeliveryWanted) -> int:
    """How many. Raises NotFound, and Conflict where the endpoint is disabled."""
    async with services.sessions() as session, session.begin():
        endpoint = await endpoints.read_endpoint(session, endpoint_id, lock=True)
        until = wanted.until or now()
        connection = await session.connection()
        return await log.send_all_again(connection, endpoint, wanted.since, until, everything=wanted.everything)
