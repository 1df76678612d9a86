"""Carts: contents, coupon, merge, checkout."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.carts import changes, checkout, view
from api.carts.access import OpensDep, SeesDep
from api.carts.changes import Request
from api.carts.parameters import CartIdDep, ChangeDep, CheckoutDep
from api.carts.schemas import (
    CartList,
    CartQuery,
    CartView,
    CartWanted,
    CheckoutWanted,
    CouponWanted,
    Destination,
    MergeWanted,
    PiecesWanted,
    QuantityWanted,
)
from api.deps import ServicesDep
from api.http.authentication import needs
from api.http.exact_json import ExactJsonRoute
from api.http.problems import documented
from api.orders import checkout_answers
from api.orders.schemas import OrderAnswer, OrderView
from api.products.parameters import ProductIdDep

router = APIRouter(prefix="/api/carts", tags=["carts"], route_class=ExactJsonRoute)
REFUSALS = documented(400, 404, 409, 412, 415, 422)


@router.get(
    "", dependencies=[needs("carts:list")], responses=documented(422), summary="List carts, those touched last first"
)
async def list_carts(services: ServicesDep, query: Annotated[CartQuery, Query()]) -> CartList:
    return await view.list_carts(services, query)


@router.post(
    "",
    status_code=201,
    responses={200: {"model": CartView, "description": "The customer's open cart"}, **documented(400, 404, 415, 422)},
    summary="A cart of a customer or of a guest",
)
async def open_cart(services: ServicesDep, sees: OpensDep, wanted: CartWanted, response: Response) -> CartView:
    """A customer has one open cart at most; of a guest each is new."""
    cart, is_new = await changes.open_cart(Request(services, sees), wanted.customer_id)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/carts/{cart.cart_id}"
    return view.tagged(response, cart)


@router.get("/{cartId}", responses=documented(404, 422), summary="One cart, at today's prices")
async def get_cart(
    services: ServicesDep,
    sees: SeesDep,
    cart_id: CartIdDep,
    where: Annotated[Destination, Query()],
    response: Response,
) -> CartView:
    """With a country also fee and tax, where the shop has any."""
    return view.tagged(response, await view.read_cart(services, cart_id, sees, where))


@router.post("/{cartId}/lines", responses=REFUSALS, summary="Add pieces of a product")
async def add_line(request: ChangeDep, cart_id: CartIdDep, wanted: PiecesWanted, response: Response) -> CartView:
    """The same Idempotency-Key again adds nothing more."""
    return view.tagged(response, await changes.add(request, cart_id, wanted))


@router.put("/{cartId}/lines/{productId}", responses=REFUSALS, summary="Set the pieces of a product")
async def put_line(
    request: ChangeDep, cart_id: CartIdDep, product_id: ProductIdDep, wanted: QuantityWanted, response: Response
) -> CartView:
    return view.tagged(response, await changes.set_quantity(request, cart_id, product_id, wanted.quantity))


@router.delete("/{cartId}/lines/{productId}", responses=REFUSALS, summary="Take a product out")
async def delete_line(
    request: ChangeDep, cart_id: CartIdDep, product_id: ProductIdDep, response: Response
) -> CartView:
    """What is not there is taken out already."""
    return view.tagged(response, await changes.remove(request, cart_id, product_id))


@router.put("/{cartId}/coupon", responses=REFUSALS, summary="Use a coupon")
async def put_coupon(request: ChangeDep, cart_id: CartIdDep, wanted: CouponWanted, response: Response) -> CartView:
    """One that does not apply is refused with the reason in words."""
    return view.tagged(response, await changes.set_coupon(request, cart_id, wanted.code))


@router.delete("/{cartId}/coupon", responses=REFUSALS, summary="Use no coupon")
async def delete_coupon(request: ChangeDep, cart_id: CartIdDep, response: Response) -> CartView:
    return view.tagged(response, await changes.drop_coupon(request, cart_id))


@router.post("/{cartId}/merge", responses=REFUSALS, summary="Take another cart's lines in")
async def merge_carts(request: ChangeDep, cart_id: CartIdDep, wanted: MergeWanted, response: Response) -> CartView:
    """Quantities are added, and capped at what a line may have; the same again adds nothing."""
    return view.tagged(response, await changes.merge(request, cart_id, wanted.from_))


@router.post(
    "/{cartId}/checkout",
    status_code=201,
    response_model=OrderView,
    responses={
        202: {"model": OrderAnswer, "description": "Pending, or the customer has to act (`clientSecret`)"},
        **documented(400, 402, 404, 409, 412, 415, 422),
    },
    summary="Order what is in the cart",
)
async def check_out(request: CheckoutDep, cart_id: CartIdDep, wanted: CheckoutWanted) -> Response:
    """Once for each cart: the same Idempotency-Key has the same answer, another one is refused with the order's link.

    A rejected order gives the cart back.
    """
    record = await checkout.check_out(request, cart_id, wanted)
    return await checkout_answers.answer(request.services, record)
