"""The log of deliveries as operators read it, and what they have sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import Conflict, NotFound
from domain.merchant_webhooks import DeliveryState, EndpointState
from services.merchant_webhooks.tables import WebhookDelivery, WebhookEndpoint

deliveries = WebhookDelivery.__table__  # type: ignore[attr-defined]

_AGAIN = text("""
    UPDATE webhook_deliveries
       SET state = 'waiting', in_order = in_order AND ended_at IS NULL, first_tried_at = NULL,
           attempts = CASE WHEN ended_at IS NULL THEN attempts ELSE 0 END,
           due_at = now(), ended_at = NULL, claim = NULL
     WHERE id = :id AND endpoint_id = :endpoint_id AND (claim IS NULL OR due_at <= now())
""")
_ALL_AGAIN = text("""
    UPDATE webhook_deliveries
       SET state = 'waiting', attempts = 0, first_tried_at = NULL, due_at = now(), ended_at = NULL
     WHERE endpoint_id = :endpoint_id AND kind = 'event' AND state = ANY(:states)
       AND created_at >= :since AND created_at < :until
""")
_NO_REST = text("UPDATE webhook_endpoints SET resting_until = NULL WHERE endpoint_id = :endpoint_id")


class LogFilter(NamedTuple):
    """Which deliveries of an endpoint; None means any."""

    state: DeliveryState | None = None
    type: Sequence[str] | None = None  # CloudEvents types
    subject: str | None = None


async def list_deliveries(
    connection: AsyncConnection, endpoint_id: str, wanted: LogFilter, most: int, before: int | None = None
) -> Sequence[Row[Any]]:
    """At most `most`, the newest first; `before` is the number of the last one that the caller has."""
    statement = select(deliveries).where(deliveries.c.endpoint_id == endpoint_id)
    if before is not None:
        statement = statement.where(deliveries.c.id < before)
    if wanted.state is not None:
        statement = statement.where(deliveries.c.state == wanted.state.value)
    if wanted.type is not None:
        statement = statement.where(deliveries.c.type.in_(wanted.type))
    if wanted.subject is not None:
        statement = statement.where(deliveries.c.subject == wanted.subject)
    return (await connection.execute(statement.order_by(deliveries.c.id.desc()).limit(most))).all()


async def read_delivery(connection: AsyncConnection, endpoint_id: str, delivery_id: int) -> Row[Any]:
    """One with its body and all its tries. Raises NotFound."""
    statement = select(deliveries).where(deliveries.c.endpoint_id == endpoint_id, deliveries.c.id == delivery_id)
    found = (await connection.execute(statement)).one_or_none()
    if found is None:
        raise NotFound("no_such_delivery", "this endpoint has no delivery of this number; old ones leave the log")
    return found


async def send_again(connection: AsyncConnection, endpoint: WebhookEndpoint, delivery_id: int) -> None:
    """Has one delivery sent now, under its old id; one that has ended holds nothing back then.

    Raises NotFound, and Conflict where the endpoint is disabled.
    """
    _require_active(endpoint)
    await read_delivery(connection, endpoint.endpoint_id, delivery_id)
    await connection.execute(_AGAIN, {"id": delivery_id, "endpoint_id": endpoint.endpoint_id})
    await connection.execute(_NO_REST, {"endpoint_id": endpoint.endpoint_id})


async def send_all_again(
    connection: AsyncConnection, endpoint: WebhookEndpoint, since: datetime, until: datetime, *, everything: bool
) -> int:
    """Has those noted in a time sent again, in their order: what was given up, or `everything` that has ended.

    How many they are. Raises Conflict where the endpoint is disabled.
    """
    _require_active(endpoint)
    states = [DeliveryState.GIVEN_UP.value, *([DeliveryState.DELIVERED.value] if everything else [])]
    values = {"endpoint_id": endpoint.endpoint_id, "states": states, "since": since, "until": until}
    number = (await connection.execute(_ALL_AGAIN, values)).rowcount
    await connection.execute(_NO_REST, {"endpoint_id": endpoint.endpoint_id})
    return number


def _require_active(endpoint: WebhookEndpoint) -> None:
    if endpoint.state != EndpointState.ACTIVE:
        raise Conflict("webhook_endpoint_disabled", "nothing is sent to a disabled endpoint: enable it first")
