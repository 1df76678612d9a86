"""Coupons, for the shop's operations: codes for promotions."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Response

from api.coupons.schemas import CouponChanged, CouponList, CouponView, CouponWanted
from api.deps import ServicesDep
from api.http.authentication import Caller, may, needs
from api.http.exact_json import ExactJsonRoute
from api.http.pages import PageQuery, read_cursor, write_cursor
from api.http.problems import documented
from services.promotions import desk

router = APIRouter(prefix="/api/coupons", tags=["promotions"], route_class=ExactJsonRoute)
CodeDep = Annotated[str, Path(max_length=64)]
Changer = Annotated[Caller, Depends(may("promotions:change"))]


log = structlog.get_logger()


@router.get("", dependencies=[needs("promotions:read")], responses=documented(422), summary="List coupons")
async def list_coupons(services: ServicesDep, query: Annotated[PageQuery, Query()]) -> CouponList:
    after = None if query.cursor is None else read_cursor(query.cursor, 1)[0]
    async with services.sessions() as session:
        rows = await desk.list_coupons(session, query.limit + 1, after)
    page = [CouponView.of(row) for row in rows[: query.limit]]
    return CouponList(coupons=page, next_cursor=write_cursor(page[-1].code) if len(rows) > query.limit else None)


@router.post(
    "",
    status_code=201,
    responses={200: {"model": CouponView, "description": "It was there"}, **documented(400, 409, 415, 422)},
    summary="Add a coupon",
)
async def add_coupon(services: ServicesDep, caller: Changer, wanted: CouponWanted, response: Response) -> CouponView:
    """The same data again answers 200 and changes nothing."""
    async with services.sessions() as session, session.begin():
        row, is_new = await desk.add_coupon(session, wanted.data(), caller.by(wanted.by))
    log.info("coupon_added", promotion_id=row.promotion_id, is_new=is_new)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/coupons/{row.code}"
    return CouponView.of(row)


@router.get("/{code}", dependencies=[needs("promotions:read")], responses=documented(404), summary="One coupon")
async def get_coupon(services: ServicesDep, code: CodeDep) -> CouponView:
    async with services.sessions() as session:
        return CouponView.of(await desk.read_coupon(session, code.upper()))


@router.patch("/{code}", responses=documented(400, 404, 409, 415, 422), summary="Change a coupon")
async def change_coupon(services: ServicesDep, caller: Changer, code: CodeDep, wanted: CouponChanged) -> CouponView:
    """No limit can be set below what orders hold."""
    async with services.sessions() as session, session.begin():
        row = await desk.change_coupon(session, code.upper(), wanted.changes(), caller.by(wanted.by))
    log.info("coupon_changed", promotion_id=row.promotion_id)
    return CouponView.of(row)
