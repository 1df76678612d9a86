"""Promotions, for the shop's operations."""

from __future__ import annotations

import secrets
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Response

from api.deps import ServicesDep
from api.http.authentication import Caller, may, needs
from api.http.exact_json import ExactJsonRoute
from api.http.pages import PageQuery, read_cursor, write_cursor
from api.http.problems import documented
from api.promotions.schemas import (
    ChangeView,
    PromotionChanged,
    PromotionHistory,
    PromotionList,
    PromotionView,
    PromotionWanted,
)
from services.promotions import desk

router = APIRouter(prefix="/api/promotions", tags=["promotions"], route_class=ExactJsonRoute)
PromotionIdDep = Annotated[str, Path(alias="promotionId", max_length=64)]
Changer = Annotated[Caller, Depends(may("promotions:change"))]


log = structlog.get_logger()


@router.get("", dependencies=[needs("promotions:read")], responses=documented(422), summary="List promotions")
async def list_promotions(services: ServicesDep, query: Annotated[PageQuery, Query()]) -> PromotionList:
    after = None if query.cursor is None else read_cursor(query.cursor, 1)[0]
    async with services.sessions() as session:
        rows = await desk.list_promotions(session, query.limit + 1, after)
    page = [PromotionView.of(row) for row in rows[: query.limit]]
    cursor = write_cursor(page[-1].promotion_id) if len(rows) > query.limit else None
    return PromotionList(promotions=page, next_cursor=cursor)


@router.post(
    "",
    status_code=201,
    responses={200: {"model": PromotionView, "description": "It was there"}, **documented(400, 409, 415, 422)},
    summary="Add a promotion",
)
async def add_promotion(
    services: ServicesDep, caller: Changer, wanted: PromotionWanted, response: Response
) -> PromotionView:
    """The same data again answers 200 and changes nothing."""
    data = wanted.data(wanted.promotion_id or secrets.token_hex(16))
    async with services.sessions() as session, session.begin():
        row, is_new = await desk.add_promotion(session, data, caller.by(wanted.by))
    log.info("promotion_added", promotion_id=row.promotion_id, is_new=is_new)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/promotions/{row.promotion_id}"
    return PromotionView.of(row)


@router.get(
    "/{promotionId}", dependencies=[needs("promotions:read")], responses=documented(404), summary="One promotion"
)
async def get_promotion(services: ServicesDep, promotion_id: PromotionIdDep) -> PromotionView:
    async with services.sessions() as session:
        return PromotionView.of(await desk.read_promotion(session, promotion_id))


@router.get(
    "/{promotionId}/history",
    dependencies=[needs("promotions:read")],
    responses=documented(404),
    summary="Who has set what, of it and its coupons",
)
async def get_history(services: ServicesDep, promotion_id: PromotionIdDep) -> PromotionHistory:
    async with services.sessions() as session:
        await desk.read_promotion(session, promotion_id)
        changes = [ChangeView.of(row) for row in await desk.history(session, promotion_id)]
    return PromotionHistory(promotion_id=promotion_id, changes=changes)


@router.patch("/{promotionId}", responses=documented(400, 404, 415, 422), summary="Change a promotion")
async def change_promotion(
    services: ServicesDep, caller: Changer, promotion_id: PromotionIdDep, wanted: PromotionChanged
) -> PromotionView:
    """Orders that were placed keep their prices."""
    async with services.sessions() as session, session.begin():
        row = await desk.change_promotion(session, promotion_id, wanted.changes(), caller.by(wanted.by))
    log.info("promotion_changed", promotion_id=promotion_id)
    return PromotionView.of(row)
