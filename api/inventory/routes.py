"""Stock of products."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import ServicesDep
from api.http.authentication import needs
from api.http.exact_json import ExactJsonRoute
from api.http.problems import documented
from api.inventory.schemas import StockChange, StockView
from api.products.parameters import ProductIdDep
from services.inventory import levels
from services.inventory.levels import Level, LevelChange

router = APIRouter(prefix="/api/inventory", tags=["inventory"], route_class=ExactJsonRoute)


@router.get(
    "/{productId}", dependencies=[needs("stock:read")], responses=documented(404), summary="Stock of a product"
)
async def get_stock(services: ServicesDep, product_id: ProductIdDep) -> StockView:
    async with services.reads.connect() as connection:
        return _view(await levels.read_level(connection, product_id))


@router.post(
    "/{productId}/update",
    dependencies=[needs("stock:change")],
    responses=documented(400, 404, 409, 415, 422),
    summary="Change the stock",
)
async def update_stock(services: ServicesDep, product_id: ProductIdDep, change: StockChange) -> StockView:
    """By a difference or to a level; never below what orders hold."""
    async with services.sessions() as session, session.begin():
        level = await levels.change_level(session, product_id, LevelChange(change.quantity_change, change.on_hand))
    return _view(level)


def _view(level: Level) -> StockView:
    return StockView(**level._asdict(), available=level.available)
