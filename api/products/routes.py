"""Products of the catalogue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.deps import ServicesDep
from api.http.authentication import needs
from api.http.exact_json import ExactJsonRoute
from api.http.pages import PageQuery
from api.http.problems import documented
from api.products import products
from api.products.parameters import ProductIdDep
from api.products.schemas import ProductChanged, ProductList, ProductView, ProductWanted

router = APIRouter(prefix="/api/products", tags=["products"], route_class=ExactJsonRoute)


@router.get("", dependencies=[needs("catalogue:read")], responses=documented(422), summary="List products")
async def list_products(services: ServicesDep, query: Annotated[PageQuery, Query()]) -> ProductList:
    return await products.list_products(services, query)


@router.post(
    "",
    dependencies=[needs("catalogue:change")],
    status_code=201,
    responses={200: {"model": ProductView, "description": "It was there"}, **documented(400, 409, 415, 422)},
    summary="Add a product",
)
async def add_product(services: ServicesDep, wanted: ProductWanted, response: Response) -> ProductView:
    """Adds a product with its first stock. The same data again answers 200 and changes nothing."""
    product, is_new = await products.add_product(services, wanted)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/products/{product.product_id}"
    return product


@router.get("/{productId}", dependencies=[needs("catalogue:read")], responses=documented(404), summary="One product")
async def get_product(services: ServicesDep, product_id: ProductIdDep) -> ProductView:
    return await products.read_product(services, product_id)


@router.patch(
    "/{productId}",
    dependencies=[needs("catalogue:change")],
    responses=documented(400, 404, 415, 422),
    summary="Change a product's price or name",
)
async def change_product(services: ServicesDep, product_id: ProductIdDep, wanted: ProductChanged) -> ProductView:
    """Orders that were placed keep their prices; open carts show the new one at their next read."""
    return await products.change_product(services, product_id, wanted)
