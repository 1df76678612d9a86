"""Published events, for operators: those that the broker refused, and those that it is to get again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends

from adapters.postgres.notifications import notify
from api.deps import ServicesDep
from api.http.authentication import Caller, may, needs
from api.http.exact_json import ExactJsonRoute
from api.http.fields import Identifier
from api.http.problems import documented
from api.outbox.schemas import ParkedPage, ParkedView, ReplayView, ReplayWanted, UnparkedView
from domain.errors import NotFound
from domain.repairs import EVENT_PARKED
from services.outbox import parking, replays
from services.outbox.waiting import CHANNEL
from services.tickets.book import close_ticket_about

router = APIRouter(prefix="/api/events", tags=["events"], route_class=ExactJsonRoute)

Replayer = Annotated[Caller, Depends(may("events:replay"))]

log = structlog.get_logger()


@router.get("/parked", dependencies=[needs("events:read")], summary="Events that the broker refused")
async def get_parked(services: ServicesDep) -> ParkedPage:
    """The hundred oldest."""
    async with services.reads.connect() as connection:
        return ParkedPage(events=[ParkedView.of(one) for one in await parking.parked(connection)])


@router.post(
    "/parked/{event_id}/unpark",
    dependencies=[needs("events:replay")],
    responses=documented(404),
    summary="Have a parked event sent again",
)
async def unpark(services: ServicesDep, event_id: Identifier) -> UnparkedView:
    """With those of its subject that wait behind it, in their order."""
    async with services.sessions() as session, session.begin():
        number = await parking.unpark(await session.connection(), event_id)
        if not number:
            raise NotFound("event_not_parked", "no parked event has this id")
        await close_ticket_about(session, EVENT_PARKED, parking.PUBLISH, subject=event_id)
    await _wake(services)
    log.warning("event_unparked", event_id=event_id, events=number)
    return UnparkedView(events=number)


@router.post(
    "/replays",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(400, 415, 422),
    summary="Publish events again",
)
async def replay(services: ServicesDep, caller: Replayer, wanted: ReplayWanted) -> ReplayView:
    """For a broker that lost them: the outbox has those of the last days, and consumers pass over what they have."""
    by = caller.by(wanted.by)
    async with services.reads.connect() as connection:
        number = await replays.replay(connection, wanted.to_replay())
    await _wake(services)
    log.warning("events_replayed", by=by, events=number, type=wanted.type, subject=wanted.subject)
    return ReplayView(events=number)


async def _wake(services: ServicesDep) -> None:
    async with services.reads.connect() as connection:
        await notify(connection, CHANNEL)
