"""Liveness and readiness."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from api.deps import Services, ServicesDep
from api.problems import documented
from domain.errors import RequestRefused

PATIENCE = 2.0  # seconds for one part to answer

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    status: str = "ok"


class Ready(BaseModel):
    postgresql: str = "ok"
    temporal: str = "ok"


@router.get("/healthz", summary="The process runs")
async def alive() -> Alive:
    return Alive()


@router.get("/readyz", responses=documented(503), summary="PostgreSQL and Temporal can be reached")
async def ready(services: ServicesDep) -> Ready:
    parts = await asyncio.gather(_answers(_postgresql(services)), _answers(_temporal(services)))
    state = Ready(postgresql=parts[0], temporal=parts[1])
    away = [name for name, answer in state.model_dump().items() if answer != "ok"]
    if away:
        raise RequestRefused(503, "not-ready", f"cannot reach {' and '.join(away)}", **state.model_dump())
    return state


async def _answers(question: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            await question
    except Exception:
        return "away"
    return "ok"


async def _postgresql(services: Services) -> None:
    async with services.reads.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _temporal(services: Services) -> None:
    await services.temporal.service_client.check_health(timeout=timedelta(seconds=PATIENCE))
