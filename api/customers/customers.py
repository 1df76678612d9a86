"""Customers as clients send and see them."""

from __future__ import annotations

from api.customers.schemas import CustomerList, CustomerView, CustomerWanted
from api.deps import Services
from api.http.pages import PageQuery, read_cursor, write_cursor
from domain.identifiers import is_identifier
from domain.identities import Visible
from services.customers import customers
from services.customers.customers import CustomerData, no_such_customer


async def list_customers(services: Services, query: PageQuery, visible: Visible) -> CustomerList:
    """One page. Raises InvalidInput for a cursor that is none."""
    after = None if query.cursor is None else read_cursor(query.cursor, 1)[0]
    async with services.reads.connect() as connection:
        found = await customers.list_customers(connection, query.limit + 1, after, visible)
    page = [_view(one) for one in found[: query.limit]]
    return CustomerList(
        customers=page, next_cursor=write_cursor(page[-1].customer_id) if len(found) > query.limit else None
    )


async def read_customer(services: Services, customer_id: str, visible: Visible) -> CustomerView:
    """Raises NotFound."""
    if not is_identifier(customer_id) or not visible.shows(customer_id):
        raise no_such_customer()
    async with services.reads.connect() as connection:
        return _view(await customers.read_customer(connection, customer_id))


async def add_customer(services: Services, wanted: CustomerWanted) -> tuple[CustomerView, bool]:
    """The customer and whether it is new. Raises Conflict when it exists with other data."""
    new = CustomerData(**wanted.model_dump())
    async with services.sessions() as session, session.begin():
        is_new = await customers.add_customer(session, new)
    return _view(new), is_new


def _view(customer: CustomerData) -> CustomerView:
    return CustomerView(**customer._asdict())
