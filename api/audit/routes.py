"""The audit, for auditors: entries in the order in which they were written, and the seals over them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from api.deps import ServicesDep
from api.http.authentication import needs
from api.http.exact_json import ExactJsonRoute
from api.http.fields import Body, Wire
from api.http.problems import documented
from services.audit import audit

router = APIRouter(prefix="/api/audit", tags=["audit"], route_class=ExactJsonRoute)

MOST = 1000


class AuditQuery(Body):
    """Which entries; without `after` the newest ones, newest first."""

    after: Annotated[int, Field(ge=0, le=2**62)] | None = Field(default=None, description="behind this id, in order")
    by: str | None = Field(default=None, max_length=200, description="with `after`: of one name")
    about: str | None = Field(default=None, max_length=500, description="with `after`: about one path")
    limit: Annotated[int, Field(ge=1, le=MOST)] = 50


class AuditPage(Wire):
    entries: list[dict[str, Any]] = Field(description="as they are sealed: names and values exactly so")


class SealPage(Wire):
    seals: list[dict[str, Any]]


class SealQuery(Body):
    """Which seals."""

    after: Annotated[int, Field(ge=0, le=2**62)] = 0
    limit: Annotated[int, Field(ge=1, le=MOST)] = MOST


@router.get("", dependencies=[needs("audit:read")], responses=documented(422), summary="What was done, by whom")
async def list_entries(services: ServicesDep, query: Annotated[AuditQuery, Query()]) -> AuditPage:
    async with services.reads.connect() as connection:
        if query.after is None:
            return AuditPage(entries=await audit.newest(connection, query.limit))
        found = await audit.page(connection, query.after, query.limit, by=query.by, about=query.about)
    return AuditPage(entries=found)


@router.get("/seals", dependencies=[needs("audit:read")], responses=documented(422), summary="Its hash chain")
async def list_seals(services: ServicesDep, query: Annotated[SealQuery, Query()]) -> SealPage:
    async with services.reads.connect() as connection:
        seals = await audit.read_seals(connection, query.after, query.limit)
    return SealPage(seals=[seal.document for seal in seals])
