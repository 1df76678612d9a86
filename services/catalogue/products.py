"""What can be ordered, at which price."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from domain.errors import BadField, Conflict, NotFound
from domain.money import Money
from services.catalogue.tables import Product

products = Product.__table__  # type: ignore[attr-defined]


class ProductData(NamedTuple):
    """A product, and the price of one piece."""

    product_id: str
    name: str
    price: Money


def no_such_product() -> NotFound:
    """The refusal of a product's id that is not known."""
    return NotFound("no_such_product", "there is no product of this id")


async def add_to_catalogue(session: AsyncSession, new: ProductData) -> bool:
    """Whether the product is new; the same data again changes nothing.

    Raises Conflict where it exists with another name or price. Its first stock is the inventory's business
    (`services.inventory.products`).
    """
    connection = await session.connection()
    row = {
        "product_id": new.product_id,
        "name": new.name,
        "price_minor": new.price.minor,
        "currency": new.price.currency,
        "created_at": now(),
    }
    if (await connection.execute(insert(Product).values(**row).on_conflict_do_nothing())).rowcount:
        return True
    statement = select(products).where(products.c.product_id == new.product_id)
    known = (await connection.execute(statement)).one()
    if (known.name, known.price_minor, known.currency) != (new.name, new.price.minor, new.price.currency):
        raise Conflict(
            "product_exists",
            "a product of this id exists with other data",
            fields=[BadField("product_id", "taken")],
        )
    return False
