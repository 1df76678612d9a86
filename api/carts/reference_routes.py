"""The paths of the reference API for a customer's open cart, on the same rules; they answer without `/api`, too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.carts import changes, view
from api.carts.access import SeesDep
from api.carts.parameters import ChangeDep, CustomerIdDep
from api.carts.schemas import CartView, Destination, PiecesUnwanted, PiecesUnwantedQuery, PiecesWanted
from api.deps import ServicesDep
from api.http.exact_json import ExactJsonRoute
from api.http.problems import documented

router = APIRouter(prefix="/api/cart", tags=["carts"], route_class=ExactJsonRoute)
REFUSALS = documented(400, 404, 409, 412, 415, 422)


@router.get("/{customerId}", responses=documented(404, 422), summary="A customer's open cart")
async def get_open_cart(
    services: ServicesDep,
    sees: SeesDep,
    customer_id: CustomerIdDep,
    where: Annotated[Destination, Query()],
    response: Response,
) -> CartView:
    """An empty one where there is none: reading writes nothing. Also at `/cart/{customerId}`."""
    return view.tagged(response, await view.read_open_cart(services, customer_id, sees, where))


@router.post("/{customerId}/add", responses=REFUSALS, summary="Add to a customer's open cart")
async def add_to_open_cart(
    request: ChangeDep, customer_id: CustomerIdDep, wanted: PiecesWanted, response: Response
) -> CartView:
    """The cart is made where there is none. The same Idempotency-Key again adds nothing more."""
    return view.tagged(response, await changes.add_to_open(request, customer_id, wanted))


@router.delete("/{customerId}/remove", responses=REFUSALS, summary="Remove from a customer's open cart")
async def remove_from_open_cart(
    request: ChangeDep,
    customer_id: CustomerIdDep,
    asked: Annotated[PiecesUnwantedQuery, Query()],
    response: Response,
    body: PiecesUnwanted | None = None,
) -> CartView:
    """By the query or by a body, which some intermediaries drop from a DELETE."""
    return view.tagged(response, await changes.remove_from_open(request, customer_id, asked.or_body(body)))
