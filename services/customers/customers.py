"""The shop's customers: who may order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from domain.errors import BadField, Conflict, NotFound
from domain.identities import EVERYTHING, Visible
from services.customers.tables import Customer

customers = Customer.__table__  # type: ignore[attr-defined]


class CustomerData(NamedTuple):
    """What the shop knows of a customer."""

    customer_id: str
    name: str
    email: str


async def list_customers(
    connection: AsyncConnection, most: int, after: str | None = None, visible: Visible = EVERYTHING
) -> Sequence[CustomerData]:
    """At most `most` customers by their ids, those that follow the id `after`."""
    statement = select(customers).order_by(customers.c.customer_id).limit(most)
    if after is not None:
        statement = statement.where(customers.c.customer_id > after)
    if visible != EVERYTHING:
        statement = statement.where(customers.c.customer_id == visible.customer_id)
    return [_data(row) for row in await connection.execute(statement)]


async def read_customer(connection: AsyncConnection, customer_id: str) -> CustomerData:
    """One customer. Raises NotFound."""
    statement = select(customers).where(customers.c.customer_id == customer_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise no_such_customer()
    return _data(row)


async def add_customer(session: AsyncSession, new: CustomerData) -> bool:
    """Whether the customer is new; the same data again changes nothing. Raises Conflict where other data is there."""
    connection = await session.connection()
    statement = insert(Customer).values(**new._asdict(), created_at=now()).on_conflict_do_nothing()
    if (await connection.execute(statement)).rowcount:
        return True
    if await read_customer(connection, new.customer_id) != new:
        raise Conflict(
            "customer_exists",
            "a customer of this id exists with other data",
            fields=[BadField("customer_id", "taken")],
        )
    return False


def no_such_customer() -> NotFound:
    """The refusal of a customer's id that is not known."""
    return NotFound("no_such_customer", "there is no customer of this id")


def _data(row: Row[tuple[str, str, str]]) -> CustomerData:
    return CustomerData(row.customer_id, row.name, row.email)
