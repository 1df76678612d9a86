"""Webhooks as Stripe and the carrier send them: signed, and followed into the inbox."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from datetime import datetime, timedelta
from typing import Any

import httpx
import stripe
from pydantic import SecretStr
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from events.inbox import Inbox
from services.inbox.tables import InboxEvent
from tests.support.waiting import until

LONG_AGO = timedelta(minutes=5)
PUT_ASIDE = "left by another test"


class Hooks:
    """Sends webhooks as Stripe and the carrier would, and looks into the inbox."""

    def __init__(self, api: httpx.AsyncClient, settings: Settings, sessions: Sessions) -> None:
        self._api, self._settings, self._sessions = api, settings, sessions

    async def stripe(
        self,
        payment_intent_id: str,
        *,
        kind: str = "payment_intent.amount_capturable_updated",
        event_id: str | None = None,
    ) -> httpx.Response:
        about = {"object": "payment_intent", "id": payment_intent_id, "status": "whatever it was"}
        return await self.stripe_event(
            {"id": event_id or f"evt_{secrets.token_hex(8)}", "type": kind, "data": {"object": about}}
        )

    async def stripe_event(self, event: dict[str, Any]) -> httpx.Response:
        raw = json.dumps({"object": "event", "api_version": stripe.api_version, **event})
        return await self._api.post(
            "/webhooks/stripe",
            content=raw,
            headers={"Stripe-Signature": sign_stripe(raw, self._settings.stripe_webhook_secret)},
        )

    async def carrier(self, shipment_id: str, *, event_id: str | None = None) -> httpx.Response:
        result = {"shipment_id": shipment_id, "tracking_code": "X", "status": "whatever it was"}
        event_id = event_id or f"evt_{secrets.token_hex(8)}"
        raw = json.dumps({"id": event_id, "description": "tracker.updated", "result": result})
        return await self._api.post(
            "/webhooks/carrier",
            content=raw,
            headers={"X-Hmac-Signature": sign_carrier(raw, self._settings.carrier_webhook_secret)},
        )

    async def row(self, source: str, event_id: str) -> InboxEvent | None:
        async with self._sessions() as session:
            return await session.get(InboxEvent, (source, event_id))

    async def processed(self, answer: httpx.Response, source: str = "stripe") -> InboxEvent:
        """The inbox row of an answered event, once it is processed."""
        assert answer.status_code == 202, answer.text
        event_id = answer.json()["eventId"]

        async def done() -> bool:
            row = await self.row(source, event_id)
            return row is not None and row.processed_at is not None

        await until(done, True)
        row = await self.row(source, event_id)
        assert row is not None
        return row

    async def leave_behind(self, source: str, object_id: str, attempted_at: datetime | None = None) -> str:
        """An event that a process stored and then crashed."""
        event_id = f"evt_{secrets.token_hex(8)}"
        at = attempted_at or now() - LONG_AGO
        row = InboxEvent(
            source=source, event_id=event_id, type="x", object_id=object_id, received_at=at, attempted_at=at
        )
        async with self._sessions() as session, session.begin():
            session.add(row)
        return event_id


async def put_aside(engine: AsyncEngine) -> None:
    """Ends every event of the inbox that waits, so that no sweep follows it up."""
    waiting = update(InboxEvent).where(col(InboxEvent.processed_at).is_(None))
    async with engine.begin() as connection:
        await connection.execute(waiting.values(processed_at=now(), last_error=PUT_ASIDE))


async def swept(inbox: Inbox) -> int:
    """Has everything that is due now followed up; how many events."""
    taken = await inbox.take()
    await inbox.drain(60)
    return taken


def sign_stripe(raw: str, secret: SecretStr, at: float | None = None) -> str:
    signed_at = int(time.time() if at is None else at)
    payload = f"{signed_at}.{raw}".encode()
    digest = hmac.new(secret.get_secret_value().encode(), payload, hashlib.sha256).hexdigest()
    return f"t={signed_at},v1={digest}"


def sign_carrier(raw: str, secret: SecretStr) -> str:
    digest = hmac.new(secret.get_secret_value().encode(), raw.encode(), hashlib.sha256).hexdigest()
    return f"hmac-sha256-hex={digest}"
