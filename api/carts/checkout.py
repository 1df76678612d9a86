"""The checkout of a cart: places its order as `POST /api/orders` does, once, and answers as that does."""

from __future__ import annotations

from api.carts.changes import Request
from api.carts.schemas import CheckoutWanted
from api.deps import Services
from api.orders import card_tries
from api.orders.admission import Turn
from api.orders.card_tries import Payer
from api.orders.checkout import answered
from api.orders.view import OrderRecord, links
from domain.errors import Conflict
from services.carts import checkout
from services.carts.changes import Asked
from services.orders.placement import stored_status
from services.outbox.waiting import CHANNEL as OUTBOX


async def check_out(request: Request, cart_id: str, wanted: CheckoutWanted) -> OrderRecord:
    """Raises as `services.carts.checkout.place` does, and Unavailable before anything is stored."""
    asked = request.asked(wanted.fingerprint(cart_id))
    try:
        return await _check_out(request, cart_id, asked, wanted)
    except Conflict as refused:
        if refused.code != "cart_ordered":
            raise
        order_id = refused.members["order_id"]
        address = links(request.services.settings, order_id).model_dump()
        raise Conflict(refused.code, refused.detail, order_id=order_id, links=address) from None


async def _check_out(request: Request, cart_id: str, asked: Asked, wanted: CheckoutWanted) -> OrderRecord:
    services, placed_by = request.services, request.placed_by
    admission = services.admission
    async with admission.database():
        planned = await checkout.plan(services.reads, cart_id, asked)
    if planned.contents is not None:  # else it is a repeat, which tries no card
        await card_tries.require(services, Payer(planned.contents.customer_id, request.address))
    turn = await _turn(services, planned.order_id)
    with admission.take_on(planned.order_id, turn) as taken:
        async with admission.database():
            row = await checkout.place(
                services.sessions,
                planned,
                asked,
                lambda cart: wanted.to_place(cart, services.settings, placed_by),
            )
        services.hints.give(OUTBOX)
        return await answered(services, taken, row, request.address)


async def _turn(services: Services, order_id: str) -> Turn:
    """How it goes on. Raises Unavailable where it is one checkout too many."""
    admission = services.admission
    if (reason := await admission.too_many()) is None:
        return Turn.NEW
    async with admission.database():
        status = await stored_status(services.reads, order_id)
    if status is None:
        if (still := await admission.wait_in_line(reason)) is None:
            return Turn.NEW
        raise admission.refusal(still)
    if turn := admission.turn_of_repeat(order_id, status):
        return turn
    order_links = links(services.settings, order_id).model_dump()
    raise admission.refusal(reason, order_id=order_id, order_status=status.value, links=order_links)
