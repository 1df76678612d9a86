"""Customers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.customers import customers, notifications
from api.customers.schemas import CustomerList, CustomerView, CustomerWanted, NotificationsView, NotificationsWanted
from api.deps import ServicesDep
from api.http.exact_json import ExactJsonRoute
from api.http.pages import PageQuery
from api.http.problems import documented

router = APIRouter(prefix="/api/customers", tags=["customers"], route_class=ExactJsonRoute)

CustomerId = Annotated[str, Path(alias="customerId")]


@router.get("", responses=documented(422), summary="List customers")
async def list_customers(services: ServicesDep, query: Annotated[PageQuery, Query()]) -> CustomerList:
    return await customers.list_customers(services, query)


@router.post(
    "",
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
async def get_customer(services: ServicesDep, customer_id: CustomerId) -> CustomerView:
    return await customers.read_customer(services, customer_id)


@router.get(
    "/{customerId}/notifications",
    responses=documented(404),
    summary="Which messages a customer wants, in which language",
)
async def get_notifications(services: ServicesDep, customer_id: CustomerId) -> NotificationsView:
    return await notifications.read(services, customer_id)


@router.put(
    "/{customerId}/notifications",
    responses=documented(400, 404, 415, 422),
    summary="Say which messages a customer wants, in which language",
)
async def put_notifications(
    services: ServicesDep, customer_id: CustomerId, wanted: NotificationsWanted
) -> NotificationsView:
    """Replaces what was said before. Messages that wait to be sent go by it, too."""
    return await notifications.write(services, customer_id, wanted)
