"""The brake: whether too many orders would end by our own fault, and its release."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends
from pydantic import Field

from api.deps import Services, ServicesDep
from api.http.authentication import Caller, may, needs
from api.http.exact_json import ExactJsonRoute
from api.http.fields import Body, Text40, Wire
from api.http.problems import documented
from api.repairs.schemas import Words
from services.brake import brake
from services.brake.brake import BrakeState

router = APIRouter(prefix="/api/brake", tags=["repairs"], route_class=ExactJsonRoute)

Releaser = Annotated[Caller, Depends(may("brake:release"))]

log = structlog.get_logger()


class BrakeView(Wire):
    on: bool = Field(description="no order is turned back by a fault of ours until it is released")
    held: int = Field(description="orders that wait for the release")
    why: str | None = Field(default=None, description="of the last pull, as what follows")
    pulled_at: datetime | None = None
    released_at: datetime | None = None
    released_by: str | None = None
    note: str | None = None


class ReleaseWanted(Body):
    """Who releases the brake, and what was mended; kept for good."""

    by: Text40 | None = Field(default=None, description="as your token says; may be left out")
    note: Words


@router.get("", dependencies=[needs("brake:read")], summary="Whether the brake is on")
async def get_brake(services: ServicesDep) -> BrakeView:
    return await _read(services)


@router.post(
    "/release",
    responses=documented(400, 409, 415, 422),
    summary="Release the brake",
)
async def release_brake(services: ServicesDep, caller: Releaser, wanted: ReleaseWanted) -> BrakeView:
    """Orders that were held try their step again; one that fails again by our fault is counted anew."""
    by = caller.by(wanted.by)
    async with services.sessions() as session, session.begin():
        await brake.release_with_note(session, by, wanted.note)
    log.warning("brake_released", by=by)
    return await _read(services)


async def _read(services: Services) -> BrakeView:
    async with services.sessions() as session:
        state = await brake.state_of(session)
        return _view(state, await brake.note_of(session, state.pull))


def _view(state: BrakeState, note: str | None) -> BrakeView:
    pull = state.pull
    if pull is None:
        return BrakeView(on=False, held=0)
    return BrakeView(
        on=state.on,
        held=state.held,
        why=pull.why,
        pulled_at=pull.pulled_at,
        released_at=pull.released_at,
        released_by=pull.released_by,
        note=note,
    )
