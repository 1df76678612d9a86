"""What happens to an event that the broker refuses: parked, with a ticket, in one transaction."""

from __future__ import annotations

import structlog

from adapters.postgres.database import Sessions
from domain.repairs import EVENT_PARKED
from services.outbox import parking
from services.outbox.waiting import WaitingEvent
from services.tickets.book import open_ticket_about

log = structlog.get_logger(__name__)


class ParkedEvents:
    """Parks events of the outbox."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def park(self, event: WaitingEvent, why: str) -> None:
        """Parks the event and those behind it, unless another relay has published it meanwhile."""
        async with self._sessions() as session, session.begin():
            if not await parking.park(await session.connection(), event, why):
                return
            detail = f"the broker refuses {event.type} of {event.subject}: {why[: parking.MOST_WORDS]}"
            await open_ticket_about(session, EVENT_PARKED, parking.PUBLISH, detail, subject=event.event_id)
        log.error("event_parked", event_id=event.event_id, type=event.type, subject=event.subject, error=why)

    async def hold_back(self) -> None:
        """Marks what waits behind a parked event."""
        async with self._sessions() as session, session.begin():
            await parking.hold_back(await session.connection())
