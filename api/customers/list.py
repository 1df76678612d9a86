"""Customers in the database."""

from __future__ import annotations

from sqlalchemy import Row, select
from sqlalchemy.exc import IntegrityError

from api.deps import Services
from api.http.fields import is_identifier
from api.http.pages import read_cursor, write_cursor
from api.products.schemas import CustomerList, CustomerView, CustomerWanted, PageQuery
from domain.errors import RequestRefused
from services.customers.tables import Customer

customers = Customer.__table__  # type: ignore[attr-defined]


async def list_customers(services: Services, query: PageQuery) -> CustomerList:
    statement = select(customers).order_by(customers.c.customer_id).limit(query.limit + 1)
    if query.cursor is not None:
        statement = statement.where(customers.c.customer_id > read_cursor(query.cursor, 1)[0])
    async with services.reads.connect() as connection:
        rows = (await connection.execute(statement)).all()
    page = [_view(row) for row in rows[: query.limit]]
    return CustomerList(
        customers=page, next_cursor=write_cursor(page[-1].customer_id) if len(rows) > query.limit else None
    )


async def read_customer(services: Services, customer_id: str) -> CustomerView:
    """Raises RequestRefused (404)."""
    row = None
    if is_identifier(customer_id):
        async with services.reads.connect() as connection:
            found = await connection.execute(select(customers).where(customers.c.customer_id == customer_id))
            row = found.one_or_none()
    if row is None:
        raise RequestRefused(404, "no-such-customer", "there is no customer of this id")
    return _view(row)


async def add_customer(services: Services, wanted: CustomerWanted) -> tuple[CustomerView, bool]:
    """The customer and whether it is new. Raises RequestRefused (409) when it exists with other data."""
    view = CustomerView(**wanted.model_dump())
    try:
        async with services.sessions() as session, session.begin():
            session.add(Customer(**wanted.model_dump()))
    except IntegrityError:
        if await read_customer(services, wanted.customer_id) != view:
            raise RequestRefused(
                409,
                "customer-exists",
                "a customer of this id exists with other data",
                errors=[{"field": "customerId", "message": "taken"}],
            ) from None
        return view, False
    return view, True


def _view(row: Row[tuple[str, str, str]]) -> CustomerView:
    return CustomerView(customer_id=row.customer_id, name=row.name, email=row.email)
