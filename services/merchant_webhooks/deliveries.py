"""Deliveries on their way: noted by the consumer, claimed by a relay, and what came of each try.

A claim is a lease: `due_at` of a delivery that is under way says when others may take it over, `claim` whose outcome
counts. A process that was paused and comes back notes nothing any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.cloud_events import CloudEvent
from domain.merchant_webhooks import DeliveryKind, wants
from services.merchant_webhooks import signing_secrets

LOOKED_AT = 1000
"""Due deliveries of an endpoint, of which those are claimed that are the first of their subjects."""

_FILTERS = text("""
    SELECT endpoint_id, events, created_at FROM webhook_endpoints WHERE deleted_at IS NULL
""")
# What is older than the log is kept may have been delivered and forgotten, e.g. when a stream is read again.
# What comes behind one that failed is put off with it.
_ADD = text("""
    INSERT INTO webhook_deliveries (endpoint_id, event_id, kind, type, source, subject, sequence, body, state,
                                    in_order, attempts, tries, due_at, created_at)
    SELECT new.endpoint_id, new.event_id, :kind, new.type, new.source, new.subject, new.sequence, new.body, 'waiting',
           :in_order, 0, '[]',
           greatest(now(), (SELECT CASE WHEN first.claim IS NULL THEN first.due_at END
                              FROM webhook_deliveries AS first
                             WHERE first.endpoint_id = new.endpoint_id AND first.source = new.source
                               AND first.subject = new.subject AND first.ended_at IS NULL AND first.in_order
                             ORDER BY first.id LIMIT 1)),
           now()
      FROM json_to_recordset(CAST(:deliveries AS json))
        AS new (endpoint_id text, event_id text, type text, source text, subject text, sequence bigint, body text,
                "time" timestamptz)
     WHERE new."time" > now() - CAST(:kept AS interval)
        ON CONFLICT (endpoint_id, event_id) DO NOTHING
 RETURNING id
""")
# Who has few under way comes first, so that no endpoint can take the room of another. By `min`, not NOT EXISTS: of
# that one the planner may make a join over all that waits, for each claim.
_CLAIM = text(f"""
    WITH due AS MATERIALIZED (
        SELECT chosen.id
          FROM webhook_endpoints AS endpoint
          LEFT JOIN json_to_recordset(CAST(:busy AS json)) AS busy (endpoint_id text, number int) USING (endpoint_id)
         CROSS JOIN LATERAL (
               SELECT id FROM webhook_deliveries
                WHERE due_at <= now() AND ended_at IS NULL AND id IN (
                      SELECT mine.id
                        FROM (SELECT id, endpoint_id, source, subject, in_order, due_at
                                FROM webhook_deliveries AS waiting
                               WHERE waiting.endpoint_id = endpoint.endpoint_id AND waiting.ended_at IS NULL
                                 AND waiting.due_at <= now() AND waiting.kind = 'event'
                               ORDER BY waiting.due_at, waiting.id LIMIT {LOOKED_AT}) AS mine
                       WHERE NOT mine.in_order OR mine.id = (
                             SELECT min(first.id) FROM webhook_deliveries AS first
                              WHERE first.endpoint_id = mine.endpoint_id AND first.source = mine.source
                                AND first.subject = mine.subject AND first.ended_at IS NULL AND first.in_order)
                       ORDER BY mine.due_at, mine.id LIMIT :each)
                ORDER BY due_at, id
                LIMIT greatest(0, CASE WHEN endpoint.failures > 0 THEN 1 ELSE :each END - coalesce(busy.number, 0))
                  FOR UPDATE SKIP LOCKED) AS chosen
         WHERE endpoint.state = 'active' AND endpoint.deleted_at IS NULL
           AND coalesce(endpoint.resting_until, now()) <= now()
         ORDER BY coalesce(busy.number, 0)
         LIMIT :most),
    tests AS MATERIALIZED (
        SELECT id FROM webhook_deliveries WHERE ended_at IS NULL AND kind = 'test' AND due_at <= now()
         LIMIT :most FOR UPDATE SKIP LOCKED)
    UPDATE webhook_deliveries
       SET claim = :claim, due_at = now() + CAST(:lease AS interval), attempts = attempts + 1,
           first_tried_at = coalesce(first_tried_at, now())
     WHERE id IN (SELECT id FROM due UNION ALL SELECT id FROM tests)
 RETURNING id
""")  # noqa: S608  # a constant
_CLAIMED = text("""
    SELECT mine.id, mine.endpoint_id, endpoint.url, mine.event_id, mine.kind, mine.type, mine.source, mine.subject,
           mine.body, mine.attempts, mine.first_tried_at, now() AS at,
           ARRAY(SELECT sealed FROM webhook_secrets AS secret
                  WHERE secret.endpoint_id = mine.endpoint_id AND (expires_at IS NULL OR expires_at > now())
                  ORDER BY id DESC) AS sealed
      FROM webhook_deliveries AS mine JOIN webhook_endpoints AS endpoint USING (endpoint_id)
     WHERE mine.id = ANY(:ids) AND mine.claim = :claim AND endpoint.deleted_at IS NULL ORDER BY mine.id
""")
_GIVE_BACK = text("""
    UPDATE webhook_deliveries SET claim = NULL, due_at = now()
     WHERE id = ANY(:ids) AND claim = :claim AND ended_at IS NULL
""")
# The oldest rows by their numbers are the oldest by time, so this looks at no more than it deletes.
_PRUNE = text("""
    DELETE FROM webhook_deliveries WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM (SELECT ctid, created_at FROM webhook_deliveries ORDER BY id LIMIT :most
                             FOR UPDATE SKIP LOCKED) AS oldest
         WHERE created_at < now() - CAST(:kept AS interval)))
""")

MARGIN = timedelta(hours=1)  # between what is too old to be noted and what is old enough to leave


class Claimed(NamedTuple):
    """A delivery that this process is to try now."""

    id: int
    endpoint_id: str
    url: str
    event_id: str
    kind: DeliveryKind
    type: str
    source: str
    subject: str
    body: bytes
    attempts: int  # with this one
    since: timedelta  # its first try
    at: datetime  # by the database's clock
    secrets: Sequence[str]  # the newest first
    claim: str


async def add(connection: AsyncConnection, events: Sequence[CloudEvent], kept: timedelta) -> int:
    """Notes events for every endpoint that wants them; how many deliveries are new. A repeat changes nothing.

    An endpoint gets what happens after it was registered.
    """
    endpoints = (await connection.execute(_FILTERS)).all()
    rows = [
        _row(one.endpoint_id, event)
        for event in events
        for one in endpoints
        if event.time >= one.created_at and wants(one.events, event.type)
    ]
    return len(await _insert(connection, rows, kept, DeliveryKind.EVENT)) if rows else 0


async def add_test(connection: AsyncConnection, endpoint_id: str, event: CloudEvent) -> int:
    """The number of a delivery that is tried once."""
    (new,) = await _insert(connection, [_row(endpoint_id, event)], timedelta(days=1), DeliveryKind.TEST)
    return new


def _row(endpoint_id: str, event: CloudEvent) -> dict[str, object]:
    return {
        "endpoint_id": endpoint_id, "event_id": event.id, "type": event.type, "source": event.source,
        "subject": event.subject, "sequence": event.sequence, "time": event.time, "body": event.to_json().decode(),
    }  # fmt: skip


async def _insert(
    connection: AsyncConnection, rows: Sequence[Mapping[str, object]], kept: timedelta, kind: DeliveryKind
) -> list[int]:
    values = {
        "deliveries": to_json(rows).decode(),
        "kept": kept,
        "kind": kind.value,
        "in_order": kind is DeliveryKind.EVENT,
    }
    return list((await connection.execute(_ADD, values)).scalars())


async def claim(
    connection: AsyncConnection, name: str, busy: Mapping[str, int], *, each: int, most: int, lease: timedelta
) -> list[Claimed]:
    """Up to `most` deliveries that are due, each the first of its endpoint and subject, for `lease`.

    `busy` are those that this process has under way, by endpoint, of which it gets `each` at most. The connection
    commits each statement by itself: what is claimed has to be committed before it is sent.
    """
    held = to_json([{"endpoint_id": endpoint, "number": number} for endpoint, number in busy.items()]).decode()
    values = {"claim": name, "busy": held, "each": each, "most": most, "lease": lease}
    ids = list((await connection.execute(_CLAIM, values)).scalars())
    if not ids:
        return []
    return [
        Claimed(
            row.id, row.endpoint_id, row.url, row.event_id, DeliveryKind(row.kind), row.type, row.source, row.subject,
            row.body.encode(), row.attempts, row.at - row.first_tried_at, row.at,
            signing_secrets.opened(row.sealed), name,
        )
        for row in await connection.execute(_CLAIMED, {"ids": ids, "claim": name})
    ]  # fmt: skip


async def give_back(connection: AsyncConnection, name: str, ids: Collection[int]) -> None:
    """Lets others try at once what this process had under way."""
    await connection.execute(_GIVE_BACK, {"claim": name, "ids": sorted(ids)})


async def prune(connection: AsyncConnection, kept: timedelta, most: int) -> int:
    """Deletes up to `most` deliveries that are older than `kept`, the oldest first; how many they were.

    What still waits by then leaves, too: its endpoint has been disabled for as long.
    """
    return (await connection.execute(_PRUNE, {"kept": kept + MARGIN, "most": most})).rowcount
