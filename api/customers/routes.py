"""Customers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from api.customers import customers, notifications
from api.customers.schemas import CustomerList, CustomerView, CustomerWanted, NotificationsView, NotificationsWanted
from api.deps import ServicesDep
from api.http.authentication import Caller, may, needs
from api.http.exact_json import ExactJsonRoute
from api.http.pages import PageQuery
from api.http.problems import documented

router = APIRouter(prefix="/api/customers", tags=["customers"], route_class=ExactJsonRoute)

Reader = Annotated[Caller, Depends(may("customers:read"))]
Changer = Annotated[Caller, Depends(may("customers:change"))]
CustomerId = Annotated[str, Path(alias="customerId")]


@router.get("", responses=documented(422), summary="List customers")
async def list_customers(services: ServicesDep, caller: Reader, query: Annotated[PageQuery, Query()]) -> CustomerList:
    return await customers.list_customers(services, query, caller.visible)


@router.post(
    "",
    dependencies=[needs("customers:add")],
    status_code=201,
    responses={200: {"model": CustomerView, "description": "It was there"}, **documented(400, 409, 415, 422)},
    summary="Add a customer",
)
async def add_customer(services: ServicesDep, wanted: CustomerWanted, response: Response) -> CustomerView:
    """The same data again answers 200 and changes nothing."""
    customer, is_new = await customers.add_customer(services, wanted)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/customers/{customer.customer_id}"
    return customer


@router.get("/{customerId}", responses=documented(404), summary="One customer")
async def get_customer(services: ServicesDep, caller: Reader, customer_id: CustomerId) -> CustomerView:
    return await customers.read_customer(services, customer_id, caller.visible)


@router.get(
    "/{customerId}/notifications",
    responses=documented(404),
    summary="Which messages a customer wants, in which language",
)
async def get_notifications(services: ServicesDep, caller: Reader, customer_id: CustomerId) -> NotificationsView:
    return await notifications.read(services, customer_id, caller.visible)


@router.put(
    "/{customerId}/notifications",
    responses=documented(400, 404, 415, 422),
    summary="Say which messages a customer wants, in which language",
)
async def put_notifications(
    services: ServicesDep, caller: Changer, customer_id: CustomerId, wanted: NotificationsWanted
) -> NotificationsView:
    """Replaces what was said before. Messages that wait to be sent go by it, too."""
    return await notifications.write(services, customer_id, wanted, caller.visible)
