"""Stock of products."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import ServicesDep
from api.http.exact_json import ExactJsonRoute
from api.http.problems import documented
from api.products import catalogue
from api.products.routes import ProductIdDep
from api.products.schemas import StockChange, StockView

router = APIRouter(prefix="/api/inventory", tags=["inventory"], route_class=ExactJsonRoute)


@router.get("/{productId}", responses=documented(404), summary="Stock of a product")
async def get_stock(services: ServicesDep, product_id: ProductIdDep) -> StockView:
    return await catalogue.read_stock(services, product_id)


@router.post("/{productId}/update", responses=documented(400, 404, 409, 415, 422), summary="Change the stock")
async def update_stock(services: ServicesDep, product_id: ProductIdDep, change: StockChange) -> StockView:
    """By a difference or to a level; never below what orders hold."""
    return await catalogue.change_stock(services, product_id, change)
