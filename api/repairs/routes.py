"""The repair desk: tickets, and what operators decide about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from api.deps import ServicesDep
from api.http.authentication import Caller, may, needs
from api.http.exact_json import ExactJsonRoute
from api.http.problems import documented
from api.repairs import decisions as repair_decisions
from api.repairs import view as ticket_view
from api.repairs.schemas import RepairList, RepairQuery, RepairView, ResolutionView, ResolutionWanted
from services.repairs.desk import no_such_ticket

LONGEST_ID = 18  # digits, which PostgreSQL's bigint holds

router = APIRouter(prefix="/api/repairs", tags=["repairs"], route_class=ExactJsonRoute)


async def known_shape(ticket_id: Annotated[str, Path(alias="ticketId")]) -> int:
    if not (ticket_id.isascii() and ticket_id.isdecimal() and len(ticket_id) <= LONGEST_ID):
        raise no_such_ticket()
    return int(ticket_id)


Decider = Annotated[Caller, Depends(may("repairs:resolve"))]
TicketIdDep = Annotated[int, Depends(known_shape)]


@router.get("", dependencies=[needs("repairs:read")], responses=documented(422), summary="List tickets, newest first")
async def list_tickets(services: ServicesDep, query: Annotated[RepairQuery, Query()]) -> RepairList:
    """The open ones, unless `status` says otherwise."""
    return await ticket_view.list_tickets(services, query)


@router.get("/{ticketId}", dependencies=[needs("repairs:read")], responses=documented(404), summary="One ticket")
async def get_ticket(services: ServicesDep, ticket_id: TicketIdDep) -> RepairView:
    """With the order's state, what can be done, and the audit trail."""
    return await ticket_view.read_ticket(services, ticket_id)


@router.post(
    "/{ticketId}/resolve",
    responses={
        202: {"model": ResolutionView, "description": "Accepted: the order's workflow carries it out"},
        **documented(400, 404, 409, 415, 422),
    },
    summary="Decide about a ticket",
)
async def resolve(
    services: ServicesDep, caller: Decider, ticket_id: TicketIdDep, wanted: ResolutionWanted, response: Response
) -> ResolutionView:
    """409 when it is resolved already, or the decision is not possible for it; `mark_done` needs evidence."""
    resolved = await repair_decisions.resolve(services, ticket_id, wanted, caller)
    if resolved.accepted is None:
        response.status_code = 202
    return resolved
