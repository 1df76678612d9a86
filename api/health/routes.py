"""Liveness and readiness."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from adapters.postgres import reachability
from api.deps import ServicesDep
from api.http.problems import documented
from domain.errors import Unavailable

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    status: str = "ok"


class Ready(BaseModel):
    postgresql: str = "ok"
    temporal: str = "ok"


@router.get("/healthz", summary="The process runs")
async def alive() -> Alive:
    # On the event loop that serves every request, so that an answer says that the loop turns.
    return Alive()


@router.get("/readyz", responses=documented(503), summary="PostgreSQL and Temporal can be reached")
async def ready(services: ServicesDep) -> Ready:
    state = Ready(**await reachability.parts(services.reads, services.temporal))
    away = [name for name, answer in state.model_dump().items() if answer != reachability.OK]
    if away:
        raise Unavailable("not_ready", f"cannot reach {' and '.join(away)}", **state.model_dump())
    return state
