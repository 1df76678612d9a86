"""What came of a try: its delivery, the endpoint's failures in a row, and the notice when there are too many."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.merchant_webhooks import (
    Attempt,
    DeliveryKind,
    DeliveryState,
    Disabled,
    Patience,
    Verdict,
    disables,
    judge,
    rest,
)
from domain.repairs import WEBHOOK_DISABLED
from services.merchant_webhooks.deliveries import Claimed
from services.merchant_webhooks.endpoints import DELIVER
from services.tickets.book import open_ticket_about

KEPT_TRIES = 20

_NOTE = text(f"""
    UPDATE webhook_deliveries
       SET state = :state, claim = NULL, due_at = now() + CAST(:pause AS interval),
           tries = jsonb_path_query_array(tries || CAST(:try AS jsonb), '$[last - {KEPT_TRIES - 1} to last]'),
           ended_at = CASE WHEN :state <> 'waiting' THEN now() END
     WHERE id = :id AND claim = :claim AND ended_at IS NULL
 RETURNING id
""")  # noqa: S608  # a constant
# So that nobody looks at them before the one in front of them is tried again.
_PUT_OFF_BEHIND = text("""
    UPDATE webhook_deliveries SET due_at = now() + CAST(:pause AS interval)
     WHERE endpoint_id = :endpoint_id AND source = :source AND subject = :subject AND id > :id
       AND ended_at IS NULL AND in_order AND claim IS NULL AND due_at < now() + CAST(:pause AS interval)
""")
# What was put off with it goes on at once.
_GO_ON_BEHIND = text("""
    UPDATE webhook_deliveries SET due_at = now()
     WHERE endpoint_id = :endpoint_id AND source = :source AND subject = :subject AND id > :id
       AND ended_at IS NULL AND in_order AND claim IS NULL AND due_at > now()
""")
# Before any delivery: who changes an endpoint locks it first and then what waits for it.
_LOCK = text("SELECT FROM webhook_endpoints WHERE endpoint_id = :endpoint_id FOR NO KEY UPDATE")
_WELL_AGAIN = text("""
    UPDATE webhook_endpoints SET failures = 0, failed_at = NULL, resting_until = NULL
     WHERE endpoint_id = :endpoint_id AND failures > 0
""")
# Tries that began before a failure was counted are part of the same one: a short outage of a busy endpoint is no row.
_FAILED = text("""
    UPDATE webhook_endpoints SET failures = failures + 1, failed_at = now()
     WHERE endpoint_id = :endpoint_id AND state = 'active' AND (failed_at IS NULL OR failed_at <= :began)
 RETURNING failures
""")
_REST = text("""
    UPDATE webhook_endpoints SET resting_until = now() + CAST(:rest AS interval) WHERE endpoint_id = :endpoint_id
""")
_DISABLE = text("""
    UPDATE webhook_endpoints SET state = 'disabled', disabled_because = :why, updated_at = now()
     WHERE endpoint_id = :endpoint_id
""")


class Outcome(StrEnum):
    """What became of a try; metrics count them."""

    DELIVERED = "delivered"
    RETRIED = "retried"  # it failed, and is tried again
    GIVEN_UP = "given_up"
    LOST = "lost"  # somebody else has taken the delivery over meanwhile: theirs counts


class Noted(NamedTuple):
    """What was written."""

    outcome: Outcome
    disabled: Disabled | None = None


OUTCOMES = {
    DeliveryState.DELIVERED: Outcome.DELIVERED,
    DeliveryState.WAITING: Outcome.RETRIED,
    DeliveryState.GIVEN_UP: Outcome.GIVEN_UP,
}


async def note(session: AsyncSession, claimed: Claimed, attempt: Attempt, patience: Patience, chance: float) -> Noted:
    """Writes what came of a try. `chance` (0 to 1) spreads what failed together."""
    connection = await session.connection()
    verdict = judge(attempt, claimed.attempts, claimed.since, patience, claimed.kind, chance)
    if verdict.state is not DeliveryState.DELIVERED:
        await connection.execute(_LOCK, {"endpoint_id": claimed.endpoint_id})
    if not await _note(connection, claimed, attempt, verdict):
        return Noted(Outcome.LOST)
    outcome = OUTCOMES[verdict.state]
    if attempt.is_delivered:
        await connection.execute(_WELL_AGAIN, {"endpoint_id": claimed.endpoint_id})
        return Noted(outcome)
    if claimed.kind is DeliveryKind.TEST:
        return Noted(outcome)
    return Noted(outcome, await _count_failure(session, connection, claimed, attempt, patience))


async def _note(connection: AsyncConnection, claimed: Claimed, attempt: Attempt, verdict: Verdict) -> bool:
    told = {
        "at": attempt.at,
        "seconds": round(attempt.seconds, 3),
        "status": attempt.status,
        "error": attempt.error,
        "answer": attempt.answer,
    }
    pause = verdict.pause or timedelta(0)
    values = {"id": claimed.id, "claim": claimed.claim, "state": verdict.state.value, "pause": pause}
    if (await connection.execute(_NOTE, values | {"try": to_json([told]).decode()})).one_or_none() is None:
        return False
    line = {"endpoint_id": claimed.endpoint_id, "source": claimed.source, "subject": claimed.subject}
    if verdict.state is DeliveryState.WAITING:
        await connection.execute(_PUT_OFF_BEHIND, line | {"id": claimed.id, "pause": pause})
    elif claimed.attempts > 1:
        await connection.execute(_GO_ON_BEHIND, line | {"id": claimed.id})
    return True


async def _count_failure(
    session: AsyncSession, connection: AsyncConnection, claimed: Claimed, attempt: Attempt, patience: Patience
) -> Disabled | None:
    """Why the endpoint is disabled now; None where it goes on."""
    values = {"endpoint_id": claimed.endpoint_id}
    failures = (await connection.execute(_FAILED, values | {"began": claimed.at})).scalar_one_or_none()
    if failures is None:
        return None
    if pause := rest(failures, attempt):
        await connection.execute(_REST, values | {"rest": pause})
    if (why := disables(failures, attempt, patience)) is None:
        return None
    await connection.execute(_DISABLE, values | {"why": why.value})
    told = f"answered {attempt.status}" if attempt.status else f"no answer ({attempt.error})"
    host = urlsplit(claimed.url).hostname
    detail = f"webhooks to {host} ({claimed.endpoint_id}) failed {failures} times in a row, the last time: {told}"
    await open_ticket_about(session, WEBHOOK_DISABLED, DELIVER, detail, subject=claimed.endpoint_id)
    return why
