"""Finds the events of Stripe that were never delivered, by listing them; the inbox follows them up like any."""

from __future__ import annotations

from datetime import timedelta

import structlog
from temporalio import activity

from activities.interceptors import metrics
from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.stripe.lists import StripeLists
from domain.recovery import CatchUpEvents, EventsCaughtUp
from services.inbox.inbox import store
from services.recovery.cursors import cursor_of, move_cursor

CURSOR = "stripe_events"
FIRST_LOOK = timedelta(days=3)  # Stripe itself delivers again for three days (https://docs.stripe.com/webhooks)
WINDOW = timedelta(hours=1)  # listed at once
OVERLAP = timedelta(minutes=15)  # clocks differ, and an event may reach the list after younger ones

log = structlog.get_logger(__name__)


class MissedEvents:
    """Reads Stripe's list of events on a schedule."""

    def __init__(self, sessions: Sessions, stripe: StripeLists) -> None:
        self._sessions, self._stripe = sessions, stripe

    @activity.defn
    async def list_missed_events(self, asked: CatchUpEvents) -> EventsCaughtUp:
        """Reads one window after the cursor, which moves when everything in it is stored."""
        end = now() - asked.older_than
        async with self._sessions() as session:
            since = min(await cursor_of(session, CURSOR) or end - FIRST_LOOK, end)
        until, missed = min(since + WINDOW, end), 0
        async for page in self._stripe.events(since - OVERLAP, until):
            if page:
                async with self._sessions() as session, session.begin():
                    missed += (await (await session.connection()).execute(store(page))).rowcount
        async with self._sessions() as session, session.begin():
            await move_cursor(session, CURSOR, until)
        if missed:
            log.warning("events_missed", source="stripe", events=missed)
        metrics.events_missed(missed)
        return EventsCaughtUp(missed=missed, more=until < end)
