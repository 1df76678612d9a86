"""Products with what is in stock of them: the catalogue's row and the stock's, added together and read together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.money import Money
from services.catalogue.products import ProductData, add_to_catalogue, no_such_product, products
from services.inventory.events import inventory_updated
from services.inventory.tables import Stock

stock = Stock.__table__  # type: ignore[attr-defined]


class StockedProduct(NamedTuple):
    """A product, and how many pieces of it are on hand."""

    product: ProductData
    on_hand: int


async def list_products(connection: AsyncConnection, most: int, after: str | None = None) -> Sequence[StockedProduct]:
    """At most `most` products by their ids, those that follow the id `after`."""
    statement = _products().order_by(products.c.product_id).limit(most)
    if after is not None:
        statement = statement.where(products.c.product_id > after)
    return [_stocked(row) for row in await connection.execute(statement)]


async def read_product(connection: AsyncConnection, product_id: str) -> StockedProduct:
    """One product. Raises NotFound."""
    row = (await connection.execute(_products().where(products.c.product_id == product_id))).one_or_none()
    if row is None:
        raise no_such_product()
    return _stocked(row)


async def add_product(session: AsyncSession, new: StockedProduct) -> bool:
    """Adds a product with its first stock; False where it was there, and nothing was changed.

    Raises Conflict where it exists with another name or price.
    """
    if not await add_to_catalogue(session, new.product):
        return False
    row = Stock(product_id=new.product.product_id, on_hand=new.on_hand)
    if new.on_hand:
        row.event_sequence += 1
        session.add(inventory_updated(row.product_id, new.on_hand, row.on_hand, row.event_sequence))
    session.add(row)
    await session.flush()
    return True


def _products() -> Select[tuple[str, str, int, str, str, int]]:
    return select(
        products.c.product_id,
        products.c.name,
        products.c.price_minor,
        products.c.currency,
        products.c.tax_category,
        stock.c.on_hand,
    ).join_from(products, stock, stock.c.product_id == products.c.product_id)


def _stocked(row: Row[tuple[str, str, int, str, str, int]]) -> StockedProduct:
    price = Money(minor=row.price_minor, currency=row.currency)
    return StockedProduct(ProductData(row.product_id, row.name, price, row.tax_category), row.on_hand)
