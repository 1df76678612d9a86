"""What can be ordered, at which price."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from domain.errors import BadField, Conflict, NotFound, bad_fields
from domain.money import MAXIMUM_CHARGE, Money
from domain.pricing.lines import STANDARD
from services.catalogue.tables import Product

products = Product.__table__  # type: ignore[attr-defined]


class ProductData(NamedTuple):
    """A product, and the price of one piece; its tax is by the rates of its category (`services/rates/`)."""

    product_id: str
    name: str
    price: Money
    tax_category: str = STANDARD


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
        "tax_category": new.tax_category,
        "created_at": now(),
    }
    if (await connection.execute(insert(Product).values(**row).on_conflict_do_nothing())).rowcount:
        return True
    statement = select(products).where(products.c.product_id == new.product_id)
    known = (await connection.execute(statement)).one()
    if (known.name, known.price_minor, known.currency) != (new.name, new.price.minor, new.price.currency) or (
        known.tax_category != new.tax_category
    ):
        raise Conflict(
            "product_exists",
            "a product of this id exists with other data",
            fields=[BadField("product_id", "taken")],
        )
    return False


async def change_product(
    session: AsyncSession,
    product_id: str,
    *,
    name: str | None = None,
    price: Decimal | None = None,
    tax_category: str | None = None,
) -> None:
    """Sets what is given; `price` in major units of the product's currency. Orders keep the prices of their checkout.

    Raises NotFound, and InvalidInput for a price that the currency has not.
    """
    row = await session.get(Product, product_id, with_for_update=True)
    if row is None:
        raise no_such_product()
    if price is not None:
        row.price_minor = _price(price, row.currency).minor
    row.name, row.tax_category = name or row.name, tax_category or row.tax_category
    session.add(row)


def _price(price: Decimal, currency: str) -> Money:
    try:
        money = Money.parse(price, currency)
    except ValueError as error:
        raise bad_fields({"price": str(error)}) from None
    if money.minor > MAXIMUM_CHARGE:
        raise bad_fields({"price": "above the largest chargeable amount"})
    return money
