"""Orders: checkout, one, list, timeline, cancel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from api.deps import ServicesDep
from api.http.authentication import Caller, may
from api.http.exact_json import ExactJsonRoute
from api.http.problems import documented
from api.identities.credentials import stream_path
from api.orders import cancels, checkout, checkout_answers, event_stream, hurries, line_drops, payment_retry
from api.orders import view as order_view
from api.orders.parameters import KeyDep, OrderIdDep
from api.orders.schemas import (
    CancelDecision,
    CancelWanted,
    DropWanted,
    OrderAnswer,
    OrderEvents,
    OrderList,
    OrderQuery,
    OrderView,
    OrderWanted,
    PaymentWanted,
)
from domain.order_states import OrderStatus

router = APIRouter(prefix="/api/orders", tags=["orders"], route_class=ExactJsonRoute)

Placer = Annotated[Caller, Depends(may("orders:place"))]
Reader = Annotated[Caller, Depends(may("orders:read"))]
Payer = Annotated[Caller, Depends(may("orders:pay"))]
Canceler = Annotated[Caller, Depends(may("orders:cancel"))]
Hurrier = Annotated[Caller, Depends(may("orders:ship"))]
Dropper = Annotated[Caller, Depends(may("orders:drop"))]


@router.post(
    "",
    status_code=201,
    response_model=OrderView,
    responses={
        202: {"model": OrderAnswer, "description": "Pending, or the customer has to act (`clientSecret`)"},
        **documented(400, 402, 409, 415, 422),
    },
    summary="Check out",
)
async def place_order(services: ServicesDep, caller: Placer, wanted: OrderWanted, key: KeyDep) -> Response:
    """Places an order and waits for its answer: confirmed, refused, or the customer has to act."""
    record = await checkout.check_out(services, wanted, key, caller)
    return await checkout_answers.answer(services, record)


@router.get("", response_model=OrderList, responses=documented(422), summary="List orders, newest first")
async def list_orders(services: ServicesDep, caller: Reader, query: Annotated[OrderQuery, Query()]) -> Response:
    page = await order_view.list_orders(services.reads, services.settings, query, caller.visible)
    return Response(page.model_dump_json(by_alias=True), media_type="application/json")


@router.get("/{orderId}", response_model=OrderView, responses=documented(404), summary="One order")
async def get_order(services: ServicesDep, caller: Reader, order_id: OrderIdDep) -> Response:
    record = await order_view.read_order(services.reads, services.settings, order_id, caller.visible)
    return Response(record.view.model_dump_json(by_alias=True), media_type="application/json")


@router.get(
    "/{orderId}/events",
    response_model=OrderEvents,
    responses=event_stream.DOCUMENTED | documented(404, 422),
    summary="Its timeline, also live",
)
async def get_events(
    services: ServicesDep,
    caller: Reader,
    order_id: OrderIdDep,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[
        str | None, Header(alias=event_stream.LAST_EVENT_ID, description="where a stream goes on, before `after`")
    ] = None,
) -> Response:
    """The rows that follow the sequence `after`."""
    if event_stream.wanted(accept):
        await order_view.require_visible(services.reads, order_id, caller.visible)
        until = caller.principal.expires_at
        return await event_stream.open_stream(services.live, order_id, after, last_event_id, until)
    rows = await order_view.read_timeline(services.reads, order_id, after, caller.visible)
    events = OrderEvents(order_id=order_id, events=rows)
    return Response(events.model_dump_json(by_alias=True), headers={"Vary": "Accept"}, media_type="application/json")


@router.post("/{orderId}/events/ticket", responses=documented(404), summary="A ticket for its live timeline")
async def get_ticket(services: ServicesDep, caller: Reader, order_id: OrderIdDep) -> event_stream.StreamTicket:
    """For a browser's EventSource, which sends no headers: `?ticket=` opens the stream of this one order."""
    await order_view.require_visible(services.reads, order_id, caller.visible)
    ticket, until = services.identities.ticket(caller.principal, order_id)
    address = f"{services.settings.public_url.rstrip('/')}{stream_path(order_id)}?ticket={ticket}"
    return event_stream.StreamTicket(ticket=ticket, expires_at=datetime.fromtimestamp(until, UTC), stream=address)


@router.post(
    "/{orderId}/payment",
    response_model=OrderView,
    responses={
        202: {"model": OrderAnswer, "description": "Pending, or the customer has to act (`clientSecret`)"},
        **documented(400, 402, 404, 409, 415, 422),
    },
    summary="Offer another payment method",
)
async def offer_payment(
    services: ServicesDep, caller: Payer, order_id: OrderIdDep, wanted: PaymentWanted, key: KeyDep
) -> Response:
    """For an order whose card was declined, until the `retryUntil` of its 402."""
    record, answered = await payment_retry.offer(services, order_id, wanted, key, caller)
    return await checkout_answers.answer(services, record, confirmed=200, answered=answered)


@router.post(
    "/{orderId}/lines/{productId}/drop",
    response_model=OrderView,
    responses=documented(404, 409, 415, 422),
    summary="Take out a line that cannot be shipped",
)
async def drop_line(
    services: ServicesDep,
    caller: Dropper,
    order_id: OrderIdDep,
    product_id: Annotated[str, Path(alias="productId", max_length=64)],
    wanted: DropWanted | None = None,
) -> Response:
    """The rest of the order ships; the line is not captured."""
    await line_drops.drop_line(services, order_id, product_id, wanted or DropWanted(), caller)
    return await get_order(services, caller, order_id)


@router.post(
    "/{orderId}/ship",
    status_code=202,
    response_model=OrderView,
    responses=documented(404, 409),
    summary="End an order's wait before shipping",
)
async def ship_now(services: ServicesDep, caller: Hurrier, order_id: OrderIdDep) -> Response:
    """It ships as soon as it is confirmed and under no review; 409 where it waits no more."""
    await hurries.ship_now(services, order_id, caller)
    answer = await get_order(services, caller, order_id)
    answer.status_code = 202
    return answer


@router.post(
    "/{orderId}/cancel",
    status_code=202,
    response_model=CancelDecision,
    responses={
        200: {"model": CancelDecision, "description": "Canceled already"},
        **documented(400, 404, 409, 415, 422),
    },
    summary="Cancel an order",
)
async def cancel_order(
    services: ServicesDep,
    caller: Canceler,
    order_id: OrderIdDep,
    response: Response,
    key: KeyDep,
    wanted: CancelWanted | None = None,
) -> CancelDecision:
    """Answers with the decision, not with the end of the undo: 409 names the rule that refused.

    The same Idempotency-Key again is the same wish: it is recorded once.
    """
    decided = await cancels.cancel_order(services, order_id, wanted or CancelWanted(), key, caller)
    response.status_code = 200 if decided.status is OrderStatus.CANCELED else 202
    return decided
