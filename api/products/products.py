"""Products as clients send and see them."""

from __future__ import annotations

from api.deps import Services
from api.http.pages import PageQuery, read_cursor, write_cursor
from api.products.schemas import ProductChanged, ProductList, ProductView, ProductWanted
from services.catalogue import products as catalogue
from services.catalogue.products import ProductData
from services.inventory import products
from services.inventory.products import StockedProduct


async def list_products(services: Services, query: PageQuery) -> ProductList:
    """One page. Raises InvalidInput for a cursor that is none."""
    after = None if query.cursor is None else read_cursor(query.cursor, 1)[0]
    async with services.reads.connect() as connection:
        found = await products.list_products(connection, query.limit + 1, after)
    page = [_view(one) for one in found[: query.limit]]
    return ProductList(
        products=page, next_cursor=write_cursor(page[-1].product_id) if len(found) > query.limit else None
    )


async def read_product(services: Services, product_id: str) -> ProductView:
    """Raises NotFound."""
    async with services.reads.connect() as connection:
        return _view(await products.read_product(connection, product_id))


async def add_product(services: Services, wanted: ProductWanted) -> tuple[ProductView, bool]:
    """The product and whether it is new. Raises Conflict when it exists with another name or price."""
    product = ProductData(wanted.product_id, wanted.name, wanted.money(), wanted.tax_category)
    async with services.sessions() as session, session.begin():
        is_new = await products.add_product(session, StockedProduct(product, wanted.on_hand))
    return await read_product(services, wanted.product_id), is_new


async def change_product(services: Services, product_id: str, wanted: ProductChanged) -> ProductView:
    """Raises NotFound, and InvalidInput for a price that the currency has not."""
    async with services.sessions() as session, session.begin():
        await catalogue.change_product(session, product_id, **wanted.model_dump())
    return await read_product(services, product_id)


def _view(found: StockedProduct) -> ProductView:
    product = found.product
    return ProductView(
        product_id=product.product_id,
        name=product.name,
        price=product.price.decimal,
        currency=product.price.currency,
        tax_category=product.tax_category,
        on_hand=found.on_hand,
    )
