"""Messages to customers, from the event to the mail server: what is noted, claimed, sent, skipped or in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.plain import fetch
from domain.cloud_events import CloudEvent
from domain.notifications import MessageKind
from services.customers.customers import reach
from services.notifications.tables import MessageState
from services.sealing.sealing import KEYS_OF

_ADD = text("""
    INSERT INTO notifications (event_id, order_id, customer_id, kind, event, state, attempts, due_at, created_at)
    SELECT new.event_id, new.order_id, new.customer_id, new.kind, new.event, 'waiting', 0, now(), now()
      FROM json_to_recordset(CAST(:messages AS json))
        AS new (event_id text, order_id text, customer_id text, kind text, event jsonb)
        ON CONFLICT (event_id) DO NOTHING
""")
_SEND_AGAIN = text("""
    UPDATE notifications SET state = 'waiting', why = NULL, due_at = now(), ended_at = NULL
     WHERE event_id = :event_id AND state IN ('refused', 'doubtful')
""")
# Messages of one order go out one after the other. By `min`, not NOT EXISTS: of that one the planner may make a join
# over all that waits, for each claim.
_CLAIM = text("""
    UPDATE notifications SET state = 'sending', attempts = attempts + 1
     WHERE id IN (SELECT id FROM notifications AS mine
                   WHERE ended_at IS NULL AND state = 'waiting' AND due_at <= now()
                     AND id = (SELECT min(first.id) FROM notifications AS first
                                WHERE first.order_id = mine.order_id AND first.ended_at IS NULL)
                   ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED)
 RETURNING id
""")
_CLAIMED = text(f"""
    SELECT mine.id, mine.order_id, mine.kind, mine.event, mine.attempts,
           mine.customer_id, customers.name, customers.email, customers.name_sealed, customers.email_sealed,
           {KEYS_OF.format(customer="mine.customer_id")} AS keys,
           customers.locale, customers.erased_at IS NOT NULL AS erased,
           coalesce(wish.wanted, true) AS wanted,
           (SELECT json_object_agg(line.product_id, line.name) FROM order_lines AS line
             WHERE line.order_id = mine.order_id) AS names,
           mine.kind = 'rejected' AND EXISTS (
               SELECT FROM notifications AS told
                WHERE told.order_id = mine.order_id AND told.id < mine.id AND told.kind = 'declined'
                  AND told.event -> 'data' ->> 'orderStatus' <> 'AWAITING_CUSTOMER') AS told
      FROM notifications AS mine
      LEFT JOIN customers USING (customer_id)
      LEFT JOIN notification_wishes AS wish ON wish.customer_id = mine.customer_id AND wish.kind = mine.kind
     WHERE mine.id = ANY(:ids) ORDER BY mine.id
""")  # noqa: S608  # words of ours
_END = text("""
    UPDATE notifications SET state = :state, why = :why, ended_at = now() WHERE id = :id AND state = 'sending'
""")
_SENT = """
    UPDATE notifications SET state = 'sent', why = NULL, ended_at = now() WHERE id = ANY($1) AND state = 'sending'
"""
_PUT_OFF = text("""
    UPDATE notifications SET state = 'waiting', why = :why, due_at = now() + make_interval(secs => :seconds)
     WHERE id = :id AND state = 'sending'
""")
_LEFT = text("SELECT id, event FROM notifications WHERE ended_at IS NULL AND state = 'sending' ORDER BY id")
_WISH = text("""
    INSERT INTO notification_wishes (customer_id, kind, wanted) VALUES (:customer_id, :kind, :wanted)
        ON CONFLICT (customer_id, kind) DO UPDATE SET wanted = excluded.wanted
""")
_WISHES = text("SELECT kind, wanted FROM notification_wishes WHERE customer_id = :customer_id")


class Message(NamedTuple):
    """What a customer is to be told."""

    event: CloudEvent
    order_id: str
    customer_id: str
    kind: MessageKind


class Claimed(NamedTuple):
    """A message that is to be sent now, with what is known of the customer at this moment."""

    id: int
    order_id: str
    kind: MessageKind
    event: CloudEvent
    attempts: int  # with this one
    name: str | None
    email: str | None
    locale: str | None
    erased: bool
    wanted: bool
    told: bool  # an earlier message has said it
    product_names: Mapping[str, str]

    def why_not(self, at: datetime, max_age: timedelta) -> str | None:
        """Why it is not sent; None where it is."""
        if self.email is None or self.erased:
            return "erased"
        if not self.wanted:
            return "unwanted"
        if self.told:
            return "told_already"
        return "too_old" if at - self.event.time > max_age else None


async def add(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Notes messages to be sent; one of an event that has its message already changes nothing."""
    rows = [
        {
            "event_id": message.event.id,
            "order_id": message.order_id,
            "customer_id": message.customer_id,
            "kind": message.kind,
            "event": message.event.model_dump(),
        }
        for message in messages
    ]
    await connection.execute(_ADD, {"messages": to_json(rows).decode()})


async def send_again(connection: AsyncConnection, event_id: str) -> None:
    """Has a message sent that was refused or is in doubt."""
    await connection.execute(_SEND_AGAIN, {"event_id": event_id})


async def claim(connection: AsyncConnection, most: int) -> list[Claimed]:
    """The next messages that are due, which are SENDING from now on; their claim has to be committed first of all."""
    ids = list((await connection.execute(_CLAIM, {"most": most})).scalars())
    if not ids:
        return []
    return [await _claimed(connection, row) for row in (await connection.execute(_CLAIMED, {"ids": ids})).all()]


async def _claimed(connection: AsyncConnection, row: Row[Any]) -> Claimed:
    name, email = await reach(connection, row)
    return Claimed(
        row.id, row.order_id, MessageKind(row.kind), _event(row.event), row.attempts, name, email,
        row.locale, bool(row.erased), row.wanted, row.told, row.names or {},
    )  # fmt: skip


async def end(connection: AsyncConnection, message_id: int, state: MessageState, why: str | None = None) -> None:
    """Notes how a message that was SENDING ended."""
    await connection.execute(_END, {"id": message_id, "state": state, "why": why})


async def sent(writes: AsyncEngine, message_ids: Sequence[int]) -> None:
    """Notes that messages which were SENDING are sent; `writes` commits each statement by itself."""
    await fetch(writes, _SENT, message_ids)


async def put_off(connection: AsyncConnection, message_id: int, seconds: float, why: str) -> None:
    """It was not sent, and may be later."""
    await connection.execute(_PUT_OFF, {"id": message_id, "seconds": seconds, "why": why})


async def left_sending(connection: AsyncConnection) -> list[tuple[int, CloudEvent]]:
    """What a process that is gone was sending; for the only sender there is."""
    return [(row.id, _event(row.event)) for row in await connection.execute(_LEFT)]


async def wish(connection: AsyncConnection, customer_id: str, kind: MessageKind, *, wanted: bool) -> None:
    """Whether a customer wants messages of a kind."""
    await connection.execute(_WISH, {"customer_id": customer_id, "kind": kind, "wanted": wanted})


async def wishes(connection: AsyncConnection, customer_id: str) -> dict[MessageKind, bool]:
    """Of every kind whether the customer wants it."""
    said = {row.kind: row.wanted for row in await connection.execute(_WISHES, {"customer_id": customer_id})}
    return {kind: said.get(kind, True) for kind in MessageKind}


def _event(stored: dict[str, Any]) -> CloudEvent:
    return CloudEvent.model_validate(stored)
