"""The shop's customers: who may order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, TextClause, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from adapters.keys.vault import Place
from domain.data_classes import Purpose
from domain.errors import BadField, Conflict, NotFound
from domain.identities import EVERYTHING, Visible
from services.customers.tables import Customer
from services.sealing.sealing import KEYS_OF, add_keys, cipher_of, opener, vault_of

NAME, EMAIL = "customers.name_sealed", "customers.email_sealed"
MOST_OF_AN_ADDRESS = 100


def _select(where: str) -> TextClause:
    """Nobody reads of a customer who was erased, but for an export (`services/privacy/`)."""
    return text(f"""
        SELECT customer_id, name, email, name_sealed, email_sealed, erased_at,
               {KEYS_OF.format(customer="customers.customer_id")} AS keys
          FROM customers WHERE erased_at IS NULL AND {where} ORDER BY customer_id LIMIT :most
    """)  # noqa: S608  # words of ours


_LIST = _select("customer_id > :after")
_ONE = _select("customer_id = :customer_id")
_BY_EMAIL = _select("(email_index = :email_index OR email IS NOT NULL AND lower(email) = lower(:email))")
_IS_ERASED = text("SELECT erased_at IS NOT NULL FROM customers WHERE customer_id = :customer_id")


class CustomerData(NamedTuple):
    """What the shop knows of a customer."""

    customer_id: str
    name: str
    email: str


async def list_customers(
    connection: AsyncConnection, most: int, after: str | None = None, visible: Visible = EVERYTHING
) -> Sequence[CustomerData]:
    """At most `most` customers by their ids, those that follow the id `after`."""
    if visible == EVERYTHING:
        found = (await connection.execute(_LIST, {"after": after or "", "most": most})).all()
    elif after is not None:
        return []  # the one whom they see was on the first page
    else:
        found = (await connection.execute(_ONE, {"customer_id": visible.customer_id, "most": most})).all()
    return [await _data(connection, row) for row in found]


async def with_email(connection: AsyncConnection, email: str) -> Sequence[CustomerData]:
    """The customers of an address, by its blind index; those that are not sealed yet, by the address."""
    vault = vault_of(connection)
    asked = {"email_index": vault.blind_index(email) if vault else None, "email": email.strip()}
    found = (await connection.execute(_BY_EMAIL, asked | {"most": MOST_OF_AN_ADDRESS})).all()
    return [await _data(connection, row) for row in found]


async def read_customer(connection: AsyncConnection, customer_id: str) -> CustomerData:
    """One customer. Raises NotFound."""
    row = (await connection.execute(_ONE, {"customer_id": customer_id, "most": 1})).one_or_none()
    if row is None:
        raise no_such_customer()
    return await _data(connection, row)


async def add_customer(session: AsyncSession, new: CustomerData) -> bool:
    """Whether the customer is new; the same data again changes nothing.

    Raises Conflict where other data is there, and where the customer of this id was erased.
    """
    connection = await session.connection()
    if await _was_erased(connection, new.customer_id):
        raise Conflict("customer_erased", "the customer of this id was erased; a new one needs another id")
    statement = insert(Customer).values(created_at=now(), **await sealed(connection, new)).on_conflict_do_nothing()
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


async def sealed(connection: AsyncConnection, new: CustomerData) -> dict[str, str | None]:
    """The columns of a customer's row, with the keys of a new one made."""
    vault, customer_id = vault_of(connection), new.customer_id
    if vault is None or not vault.seals:
        return {"customer_id": customer_id, "name": new.name, "email": new.email}
    await add_keys(connection, customer_id)
    name = await cipher_of(connection, customer_id, Purpose.ACCOUNTING)
    email = await cipher_of(connection, customer_id, Purpose.CONTACT)
    assert name is not None and email is not None  # there is a vault
    return {
        "customer_id": customer_id,
        "name": None,
        "email": None,
        "name_sealed": name.seal(Place(NAME, customer_id, customer_id), new.name),
        "email_sealed": email.seal(Place(EMAIL, customer_id, customer_id), new.email),
        "email_index": vault.blind_index(new.email),
    }


async def _was_erased(connection: AsyncConnection, customer_id: str) -> bool:
    return bool((await connection.execute(_IS_ERASED, {"customer_id": customer_id})).scalar_one_or_none())


async def _data(connection: AsyncConnection, row: Row[Any]) -> CustomerData:
    name, email = await reach(connection, row)
    return CustomerData(row.customer_id, name or "", email or "")


async def reach(connection: AsyncConnection, row: Row[Any]) -> tuple[str | None, str | None]:
    """Name and address of a row that has its keys beside it (`KEYS_OF`), sealed or not; None for what is gone."""
    keys, id_ = opener(connection, row.customer_id, row.keys), row.customer_id
    return (
        row.name or await keys.open(Purpose.ACCOUNTING, NAME, id_, row.name_sealed),
        row.email or await keys.open(Purpose.CONTACT, EMAIL, id_, row.email_sealed),
    )
