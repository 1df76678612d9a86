"""Products and their stock in the database."""

from __future__ import annotations

import uuid

from sqlalchemy import Row, Select, select
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from api.deps import Services
from api.http.pages import read_cursor, write_cursor
from api.products.schemas import PageQuery, ProductList, ProductView, ProductWanted, StockChange, StockView
from domain.errors import RequestRefused
from domain.events import EventName, InventoryUpdatedData
from domain.money import Money
from services.catalogue.tables import Product
from services.inventory.tables import Stock
from services.outbox.tables import OutboxEvent

EVENT_SOURCE = "/products"

products = Product.__table__  # type: ignore[attr-defined]
stock = Stock.__table__  # type: ignore[attr-defined]


def no_such_product() -> RequestRefused:
    return RequestRefused(404, "no-such-product", "there is no product of this id")


async def list_products(services: Services, query: PageQuery) -> ProductList:
    statement = _products().order_by(products.c.product_id).limit(query.limit + 1)
    if query.cursor is not None:
        statement = statement.where(products.c.product_id > read_cursor(query.cursor, 1)[0])
    async with services.reads.connect() as connection:
        rows = (await connection.execute(statement)).all()
    page = [_product_view(row) for row in rows[: query.limit]]
    return ProductList(
        products=page, next_cursor=write_cursor(page[-1].product_id) if len(rows) > query.limit else None
    )


async def read_product(services: Services, product_id: str) -> ProductView:
    async with services.reads.connect() as connection:
        row = (await connection.execute(_products().where(products.c.product_id == product_id))).one_or_none()
    if row is None:
        raise no_such_product()
    return _product_view(row)


async def add_product(services: Services, wanted: ProductWanted) -> tuple[ProductView, bool]:
    """The product and whether it is new. Raises RequestRefused (409) when it exists with another name or price."""
    price = wanted.money()
    try:
        async with services.sessions() as session, session.begin():
            await _insert_product(session, wanted, price)
    except IntegrityError:
        found = await read_product(services, wanted.product_id)
        if (found.name, found.price, found.currency) != (wanted.name, price.decimal, price.currency):
            raise RequestRefused(
                409,
                "product-exists",
                "a product of this id exists with other data",
                errors=[{"field": "productId", "message": "taken"}],
            ) from None
        return found, False
    return await read_product(services, wanted.product_id), True


async def read_stock(services: Services, product_id: str) -> StockView:
    async with services.reads.connect() as connection:
        row = (await connection.execute(select(stock).where(stock.c.product_id == product_id))).one_or_none()
    if row is None:
        raise no_such_product()
    return _stock_view(row.product_id, row.on_hand, row.reserved)


async def change_stock(services: Services, product_id: str, change: StockChange) -> StockView:
    """The stock after the change. Raises RequestRefused: 404, or 409 when orders hold more than would be left."""
    async with services.sessions() as session, session.begin():
        row = await session.get(Stock, product_id, with_for_update=True)
        if row is None:
            raise no_such_product()
        on_hand = change.level(row.on_hand)
        if on_hand < row.reserved:
            raise _below_reserved(row, on_hand)
        difference, row.on_hand = on_hand - row.on_hand, on_hand
        if difference:
            _tell(session, row, difference)
        return _stock_view(product_id, row.on_hand, row.reserved)


async def _insert_product(session: AsyncSession, wanted: ProductWanted, price: Money) -> None:
    session.add(
        Product(product_id=wanted.product_id, name=wanted.name, price_minor=price.minor, currency=price.currency)
    )
    await session.flush()
    row = Stock(product_id=wanted.product_id, on_hand=wanted.on_hand)
    session.add(row)
    if wanted.on_hand:
        _tell(session, row, wanted.on_hand)


def _below_reserved(row: Stock, on_hand: int) -> RequestRefused:
    return RequestRefused(
        409,
        "below-reserved",
        f"orders hold {row.reserved} pieces: there cannot be {on_hand}",
        onHand=row.on_hand,
        reserved=row.reserved,
    )


def _tell(session: AsyncSession, row: Stock, difference: int) -> None:
    """InventoryUpdated, numbered under the lock of the product's stock."""
    row.event_sequence += 1
    at, event_id = now(), str(uuid.uuid4())
    data = InventoryUpdatedData(
        event_id=event_id,
        event_type=EventName.INVENTORY_UPDATED,
        timestamp=at,
        product_id=row.product_id,
        quantity_change=difference,
        new_quantity=row.on_hand,
    )
    session.add(
        OutboxEvent(
            event_id=event_id,
            type=EventName.INVENTORY_UPDATED.type,
            source=EVENT_SOURCE,
            subject=row.product_id,
            sequence=row.event_sequence,
            time=at,
            data=data.model_dump(mode="json", by_alias=True),
        )
    )


def _products() -> Select[tuple[str, str, int, str, int]]:
    return select(
        products.c.product_id, products.c.name, products.c.price_minor, products.c.currency, stock.c.on_hand
    ).join_from(products, stock, stock.c.product_id == products.c.product_id)


def _product_view(row: Row[tuple[str, str, int, str, int]]) -> ProductView:
    price = Money(minor=row.price_minor, currency=row.currency)
    return ProductView(
        product_id=row.product_id, name=row.name, price=price.decimal, currency=row.currency, on_hand=row.on_hand
    )


def _stock_view(product_id: str, on_hand: int, reserved: int) -> StockView:
    return StockView(product_id=product_id, on_hand=on_hand, reserved=reserved, available=on_hand - reserved)
