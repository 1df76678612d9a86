"""Merchants' endpoints in the database, events for them, and loops that deliver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.webhooks.sender import WebhookSender
from domain.cloud_events import CloudEvent
from domain.merchant_webhooks import EndpointState
from events.consumers.merchant_webhooks import MerchantWebhooks
from events.webhook_deliveries import WebhookDeliveries
from services.merchant_webhooks import endpoints
from services.merchant_webhooks.endpoints import EndpointChange, EndpointWanted, Limits

KEPT = timedelta(days=30)
LIMITS = Limits(most=50, private_targets=True)


@dataclass
class Merchants:
    """The shop's side; every test begins without endpoints."""

    engine: AsyncEngine
    sessions: Sessions
    settings: Settings

    async def register(self, url: str, *events: str) -> tuple[str, str]:
        """Its id and its secret."""
        async with self.sessions() as session, session.begin():
            made = await endpoints.register(session, EndpointWanted(url, events or ("*",), ""), LIMITS)
            return made.endpoint.endpoint_id, made.secret

    async def enable(self, endpoint_id: str) -> None:
        async with self.sessions() as session, session.begin():
            change = EndpointChange(state=EndpointState.ACTIVE)
            await endpoints.change_endpoint(session, endpoint_id, change, LIMITS)

    async def happen(self, *events: CloudEvent) -> None:
        """As the consumer does."""
        async with self.engine.begin() as connection:
            await MerchantWebhooks(KEPT).apply(connection, events)

    async def ask(self, statement: str, **values: Any) -> list[Any]:
        async with self.engine.begin() as connection:
            result = await connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    async def states(self) -> list[str]:
        return [state for (state,) in await self.ask("SELECT state FROM webhook_deliveries ORDER BY id")]

    async def tries(self) -> list[list[Any]]:
        """Of each delivery the outcomes of its tries."""
        rows = await self.ask("SELECT tries FROM webhook_deliveries ORDER BY id")
        return [[one["status"] or one["error"] for one in tries] for (tries,) in rows]

    async def no_pauses(self) -> None:
        """Whatever was put off is due."""
        await self.ask("UPDATE webhook_deliveries SET due_at = now() WHERE ended_at IS NULL AND claim IS NULL")
        await self.ask("UPDATE webhook_endpoints SET resting_until = NULL")

    @asynccontextmanager
    async def delivering(
        self, sender: WebhookSender | None = None, *, slack: float = 15.0, **more: Any
    ) -> AsyncIterator[WebhookDeliveries]:
        """A loop that the test turns by itself."""
        settings = self.settings.model_copy(update=more)
        own = sender or WebhookSender(timeout=settings.webhook_timeout, private=True)
        try:
            yield WebhookDeliveries(settings, self.engine, own, slack=slack)
        finally:
            await own.aclose()

    @asynccontextmanager
    async def running(self, **more: Any) -> AsyncIterator[WebhookDeliveries]:
        """A loop as the relay runs it."""
        async with self.delivering(**more) as loop:
            task = asyncio.create_task(loop.run())
            try:
                yield loop
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def turn(loop: WebhookDeliveries) -> None:
    """Sends all that is due, and what that makes due."""
    while await loop.begin_due():
        await loop.finish()
