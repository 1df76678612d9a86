"""Products of the catalogue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from api.deps import ServicesDep
from api.http.exact_json import ExactJsonRoute
from api.http.fields import is_identifier
from api.http.problems import documented
from api.products import catalogue
from api.products.schemas import PageQuery, ProductList, ProductView, ProductWanted

router = APIRouter(prefix="/api/products", tags=["products"], route_class=ExactJsonRoute)


def known_shape(product_id: Annotated[str, Path(alias="productId")]) -> str:
    if not is_identifier(product_id):
        raise catalogue.no_such_product()
    return product_id


ProductIdDep = Annotated[str, Depends(known_shape)]


@router.get("", responses=documented(422), summary="List products")
async def list_products(services: ServicesDep, query: Annotated[PageQuery, Query()]) -> ProductList:
    return await catalogue.list_products(services, query)


@router.post(
    "",
    status_code=201,
    responses={200: {"model": ProductView, "description": "It was there"}, **documented(400, 409, 415, 422)},
    summary="Add a product",
)
async def add_product(services: ServicesDep, wanted: ProductWanted, response: Response) -> ProductView:
    """Adds a product with its first stock. The same data again answers 200 and changes nothing."""
    product, is_new = await catalogue.add_product(services, wanted)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/products/{product.product_id}"
    return product


@router.get("/{productId}", responses=documented(404), summary="One product")
async def get_product(services: ServicesDep, product_id: ProductIdDep) -> ProductView:
    return await catalogue.read_product(services, product_id)
