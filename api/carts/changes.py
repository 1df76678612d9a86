"""Changes of carts as clients ask for them, each answered with the cart as it is then."""

from __future__ import annotations

from dataclasses import dataclass

from api.carts import view
from api.carts.schemas import CartView, PiecesUnwanted, PiecesWanted
from api.deps import Services
from domain.errors import Conflict
from services.carts import changes, reading
from services.carts.changes import Alteration, Asked, Sees
from services.orders.quotes import require_coupons
from services.outbox.waiting import CHANNEL as OUTBOX
from services.rates.from_tables import by_tables


@dataclass(frozen=True)
class Request:
    """What of a request is the same for every change."""

    services: Services
    sees: Sees
    key: str | None = None
    version: int | None = None
    placed_by: str | None = None  # the principal of a checkout
    address: str | None = None  # and of the client, if that is the customer's own

    def asked(self, fingerprint: str) -> Asked:
        return Asked(fingerprint, self.key, self.version, self.sees)


async def open_cart(request: Request, customer_id: str | None) -> tuple[CartView, bool]:
    """The customer's open cart, or a new one, and whether it is new."""
    cart_id, is_new = await changes.open_cart(request.services.sessions, customer_id, request.sees)
    return await view.read_cart(request.services, cart_id, request.sees), is_new


async def add(request: Request, cart_id: str, wanted: PiecesWanted) -> CartView:
    alter = changes.add(wanted.product_id, wanted.quantity)
    return await _change(request, cart_id, f"add {wanted.product_id} {wanted.quantity}", alter, wanted.product_id)


async def set_quantity(request: Request, cart_id: str, product_id: str, quantity: int) -> CartView:
    alter = changes.set_quantity(product_id, quantity)
    return await _change(request, cart_id, f"set {product_id} {quantity}", alter, product_id)


async def remove(request: Request, cart_id: str, product_id: str) -> CartView:
    return await _change(request, cart_id, f"remove {product_id}", changes.remove(product_id))


async def set_coupon(request: Request, cart_id: str, code: str) -> CartView:
    """Raises InvalidInput for a coupon that there is not, Conflict for one that does not apply, with the reason."""
    await _require_fit(request, cart_id, code)
    return await _change(request, cart_id, f"coupon {code}", changes.set_coupon(code))


async def drop_coupon(request: Request, cart_id: str) -> CartView:
    return await _change(request, cart_id, "no coupon", changes.set_coupon(None))


async def merge(request: Request, cart_id: str, source: str) -> CartView:
    await changes.merge(request.services.sessions, cart_id, source, request.sees, request.version)
    return await _answer(request, cart_id)


async def add_to_open(request: Request, customer_id: str, wanted: PiecesWanted) -> CartView:
    asked = request.asked(f"add {wanted.product_id} {wanted.quantity}")
    alter = changes.add(wanted.product_id, wanted.quantity)
    return await _change_open(request, customer_id, asked, alter, wanted.product_id)


async def remove_from_open(request: Request, customer_id: str, unwanted: PiecesUnwanted) -> CartView:
    """What is not there is removed already; a customer without a cart gets none by it."""
    product_id, quantity = unwanted.product_id, unwanted.quantity
    now = await view.read_open_cart(request.services, customer_id, request.sees)
    if now.cart_id is None:
        return now
    asked = request.asked(f"remove {product_id} {quantity or 'all'}")
    return await _change_open(request, customer_id, asked, changes.remove(product_id, quantity), product_id)


async def _change(
    request: Request, cart_id: str, what: str, alter: Alteration, product_id: str | None = None
) -> CartView:
    await changes.change_cart(request.services.sessions, cart_id, request.asked(what), alter, product_id)
    return await _answer(request, cart_id)


async def _change_open(
    request: Request, customer_id: str, asked: Asked, alter: Alteration, product_id: str
) -> CartView:
    await changes.change_open_cart(request.services.sessions, customer_id, asked, alter, product_id)
    request.services.hints.give(OUTBOX)
    return await view.read_open_cart(request.services, customer_id, request.sees)


async def _answer(request: Request, cart_id: str) -> CartView:
    request.services.hints.give(OUTBOX)
    return await view.read_cart(request.services, cart_id, request.sees)


async def _require_fit(request: Request, cart_id: str, code: str) -> None:
    reads = request.services.reads
    async with reads.connect() as connection:
        cart = await reading.read_cart(connection, cart_id, request.sees)
    if cart.row is None or not cart.lines:
        raise Conflict("cart_empty", "a coupon needs something in the cart")
    priced = await reading.price(reads, cart, by_tables(reads), reading.Terms(coupon=code))
    if priced.quote is not None:
        require_coupons(priced.quote)
