"""Endpoints of merchants: registered, changed, disabled, deleted."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from domain.errors import Conflict, NotFound
from domain.merchant_webhooks import Disabled, EndpointState, chosen_events
from domain.repairs import WEBHOOK_DISABLED
from domain.webhook_targets import check_url
from services.merchant_webhooks import signing_secrets
from services.merchant_webhooks.tables import WebhookEndpoint
from services.tickets.book import close_ticket_about

DELIVER = "deliver_webhook"
"""The step under which the repair desk knows the tickets of disabled endpoints."""

# What was put off is due now, and has all of its time before it; what waits for its first try has that anyway.
_BEGIN_ANEW = text("""
    UPDATE webhook_deliveries SET due_at = now(), attempts = 0, first_tried_at = NULL
     WHERE endpoint_id = :endpoint_id AND ended_at IS NULL AND claim IS NULL AND (attempts > 0 OR due_at > now())
""")
# Nobody registers two at a time beyond the limit.
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('webhook_endpoints'))")
_PRUNE = text("""
    DELETE FROM webhook_endpoints AS old
     WHERE deleted_at < now() - CAST(:kept AS interval)
       AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE webhook_deliveries.endpoint_id = old.endpoint_id)
""")


class Limits(NamedTuple):
    """What is set about endpoints."""

    most: int  # that may be registered
    private_targets: bool  # in development


class EndpointWanted(NamedTuple):
    """What a merchant asks for."""

    url: str
    events: Sequence[str]
    description: str


class EndpointChange(NamedTuple):
    """What is to be another one; None stays."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    state: EndpointState | None = None


class Registered(NamedTuple):
    """An endpoint and its secret, which nobody can ask for later."""

    endpoint: WebhookEndpoint
    secret: str


class Rotated(NamedTuple):
    """A new secret, and until when deliveries are signed with the old one, too."""

    secret: str
    old_until: datetime | None


async def register(session: AsyncSession, wanted: EndpointWanted, limits: Limits) -> Registered:
    """Raises InvalidInput for a URL or a filter that makes no sense, Conflict where there are too many."""
    check_url(wanted.url, private=limits.private_targets)
    events = chosen_events(wanted.events)
    connection = await session.connection()
    await connection.execute(_ONE_AT_A_TIME)
    there = select(func.count()).select_from(WebhookEndpoint).where(col(WebhookEndpoint.deleted_at).is_(None))
    if (await session.exec(there)).one() >= limits.most:
        raise Conflict("too_many_webhook_endpoints", f"there are {limits.most} endpoints already: delete one")
    endpoint = WebhookEndpoint(
        endpoint_id=f"we_{secrets.token_hex(12)}", url=wanted.url, events=events, description=wanted.description
    )
    session.add(endpoint)
    await session.flush()
    return Registered(endpoint, await signing_secrets.add_secret(connection, endpoint.endpoint_id))


async def list_endpoints(session: AsyncSession) -> Sequence[WebhookEndpoint]:
    """All, the oldest first."""
    query = select(WebhookEndpoint).where(col(WebhookEndpoint.deleted_at).is_(None))
    return (await session.exec(query.order_by(col(WebhookEndpoint.created_at), WebhookEndpoint.endpoint_id))).all()


async def read_endpoint(session: AsyncSession, endpoint_id: str, *, lock: bool = False) -> WebhookEndpoint:
    """One, perhaps with its row locked; events for it can be noted meanwhile. Raises NotFound."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.endpoint_id == endpoint_id)
    query = query.where(col(WebhookEndpoint.deleted_at).is_(None))
    found = (await session.exec(query.with_for_update(key_share=True) if lock else query)).one_or_none()
    if found is None:
        raise NotFound("no_such_webhook_endpoint", "there is no webhook endpoint of this id")
    return found


async def change_endpoint(
    session: AsyncSession, endpoint_id: str, change: EndpointChange, limits: Limits
) -> WebhookEndpoint:
    """Raises NotFound, and InvalidInput as `register` does."""
    if change.url is not None:
        check_url(change.url, private=limits.private_targets)
    events = None if change.events is None else chosen_events(change.events)
    endpoint = await read_endpoint(session, endpoint_id, lock=True)
    endpoint.url = endpoint.url if change.url is None else change.url
    endpoint.events = endpoint.events if events is None else events
    endpoint.description = endpoint.description if change.description is None else change.description
    if change.state is EndpointState.ACTIVE or change.url is not None:
        await _begin_anew(session, endpoint)
    if change.state is EndpointState.ACTIVE:
        endpoint.state, endpoint.disabled_because = EndpointState.ACTIVE.value, None
    elif change.state is EndpointState.DISABLED:
        endpoint.state, endpoint.disabled_because = EndpointState.DISABLED.value, Disabled.OPERATOR.value
    if change.state is not None:  # whoever decides about it has seen it
        await close_ticket_about(session, WEBHOOK_DISABLED, DELIVER, subject=endpoint_id)
    endpoint.updated_at = now()
    session.add(endpoint)
    return endpoint


async def _begin_anew(session: AsyncSession, endpoint: WebhookEndpoint) -> None:
    """Earlier failures say nothing any more."""
    endpoint.failures, endpoint.failed_at, endpoint.resting_until = 0, None, None
    await (await session.connection()).execute(_BEGIN_ANEW, {"endpoint_id": endpoint.endpoint_id})


async def rotate_secret(session: AsyncSession, endpoint_id: str, overlap: timedelta) -> Rotated:
    """Raises NotFound."""
    endpoint = await read_endpoint(session, endpoint_id, lock=True)
    rotated = Rotated(*await signing_secrets.rotate(await session.connection(), endpoint_id, overlap))
    endpoint.updated_at = now()
    session.add(endpoint)
    return rotated


async def delete_endpoint(session: AsyncSession, endpoint_id: str) -> None:
    """Nothing is sent any more, and its secrets are gone; its log leaves with time. Raises NotFound."""
    endpoint = await read_endpoint(session, endpoint_id, lock=True)
    endpoint.deleted_at = endpoint.updated_at = now()
    session.add(endpoint)
    await signing_secrets.forget(await session.connection(), endpoint_id)
    await close_ticket_about(session, WEBHOOK_DISABLED, DELIVER, subject=endpoint_id)


async def prune(connection: AsyncConnection, kept: timedelta) -> int:
    """Deletes the rows of endpoints that were deleted long ago and whose log has left."""
    return (await connection.execute(_PRUNE, {"kept": kept})).rowcount
