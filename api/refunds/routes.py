"""Goodwill refunds of an order: ask for one, list them, look at one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Response

from api.deps import ServicesDep
from api.http.authentication import Caller, may
from api.http.exact_json import ExactJsonRoute
from api.http.problems import answer, documented
from api.http.statuses import Malformed
from api.orders.parameters import OrderIdDep
from api.refunds import requests as refund_requests
from api.refunds.schemas import KEY_RULE, RefundList, RefundView, RefundWanted
from domain.errors import BadField, Conflict
from domain.identifiers import is_identifier
from domain.refunds import RefundState

Giver = Annotated[Caller, Depends(may("refunds:make"))]
Reader = Annotated[Caller, Depends(may("refunds:read"))]

router = APIRouter(prefix="/api/orders/{orderId}/refunds", tags=["refunds"], route_class=ExactJsonRoute)


async def required_key(
    key: Annotated[str, Header(alias="Idempotency-Key", description=f"{KEY_RULE}; names the refund")] = "",
) -> str:
    if not (key and is_identifier(key)):
        detail = f"an Idempotency-Key is needed: {KEY_RULE}"
        raise Malformed("bad_idempotency_key", detail, fields=[BadField("Idempotency-Key", f"{KEY_RULE} are needed")])
    return key


@router.post(
    "",
    status_code=201,
    response_model=RefundView,
    responses={
        202: {"model": RefundView, "description": "Under way: look at `Location`"},
        **documented(400, 404, 409, 415, 422),
    },
    summary="Give a part of the money back",
)
async def give_refund(
    services: ServicesDep,
    caller: Giver,
    order_id: OrderIdDep,
    key: Annotated[str, Depends(required_key)],
    wanted: RefundWanted,
) -> Response:
    """Never above what was captured; the same key and body again get the same refund."""
    return _answer(services, await refund_requests.give_refund(services, order_id, key, wanted, caller))


@router.get("", response_model=RefundList, responses=documented(404), summary="An order's refunds, oldest first")
async def list_refunds(services: ServicesDep, caller: Reader, order_id: OrderIdDep) -> RefundList:
    refunds = await refund_requests.read_refunds(services, order_id, caller.visible)
    return RefundList(order_id=order_id, refunds=refunds)


@router.get("/{key}", response_model=RefundView, responses=documented(404), summary="One refund")
async def get_refund(
    services: ServicesDep, caller: Reader, order_id: OrderIdDep, key: Annotated[str, Path(max_length=64)]
) -> RefundView:
    return await refund_requests.read_refund(services, order_id, key, caller.visible)


def _answer(services: ServicesDep, refund: RefundView) -> Response:
    """201 given back, 202 under way, else the refusal."""
    address = f"{services.settings.public_url.rstrip('/')}/api/orders/{refund.order_id}/refunds/{refund.key}"
    headers = {"Location": address}
    if refund.status is RefundState.FAILED:
        shown: dict[str, Any] = refund.model_dump(mode="json", by_alias=True)
        detail = refund.detail or "the refund failed"
        return answer(Conflict("refund_failed", detail, order_id=refund.order_id, refund=shown), headers)
    under_way = refund.status is not RefundState.SUCCEEDED
    if under_way:
        headers["Retry-After"] = "1"
    document = refund.model_dump_json(by_alias=True)
    return Response(document, 202 if under_way else 201, headers, "application/json")
