"""The HTTP answer of a checkout, read off the order's row."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import Response

from api.deps import PaymentLookup, Services
from api.http.problems import problem
from api.orders.schemas import OrderAnswer, OrderView
from api.orders.view import OrderRecord
from domain.errors import ENDS_BY_OUR_FAULT
from domain.order_states import OrderStatus

CONFIRMED = frozenset([OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP, OrderStatus.SHIPPED, OrderStatus.DELIVERED])
UNANSWERED = frozenset([OrderStatus.PLACED, OrderStatus.RESERVED])
OVER = frozenset([OrderStatus.CANCELING, OrderStatus.CANCELED])

# A refusal for any other reason came from the payment: 402.
NOT_THE_PAYMENT = (
    frozenset(
        [
            "out_of_stock",
            "abandoned",
            "timed_out",
            "error",
            "never_started",
            "recovered",
        ]
    )
    | ENDS_BY_OUR_FAULT
)

FAULT_RETRY_AFTER = 15  # seconds: a person has to mend it

log = structlog.get_logger()


async def answer(services: Services, record: OrderRecord, *, confirmed: int = 201, answered: bool = True) -> Response:
    """201 confirmed, 202 pending or the customer has to act, 402 declined, 409 out of stock or canceled.

    503 while a fault of ours holds the order up: the same request has its outcome later. A 402 with `retryUntil`
    waits for another payment method until then. `answered` is False for an order whose next answer is still to come.
    """
    view = record.view
    if view.status in CONFIRMED:
        return _document(confirmed, view)
    if view.waits_for and (view.status in UNANSWERED or not answered):
        detail = "a fault on our side holds this order up; it goes on by itself, or is undone with nothing charged"
        return _problem(503, "temporarily_unavailable", detail, view, retry_after=FAULT_RETRY_AFTER)
    if not answered:
        return _document(202, view)
    if view.status is OrderStatus.REJECTED:
        return _rejected(view)
    if view.status in OVER:
        return _problem(409, "order_canceled", "the order was canceled before it was confirmed", view)
    if view.status is OrderStatus.AWAITING_CUSTOMER and view.refusal:
        refusal = view.refusal
        return _problem(402, refusal["code"], refusal["detail"], view, retryUntil=refusal["retryUntil"])
    if view.status is OrderStatus.AWAITING_CUSTOMER:
        secret = await _client_secret(services.payments, record)
        return _document(202, OrderAnswer.model_construct(**view.__dict__, client_secret=secret))
    return _document(202, view)


def _document(status: int, view: OrderView) -> Response:
    headers = {"Location": view.links.self}
    if status == 202:
        headers["Retry-After"] = "1"
    return Response(view.model_dump_json(by_alias=True), status, headers, "application/json")


def _rejected(view: OrderView) -> Response:
    refusal = view.refusal or {}
    code = refusal.get("code", "order_rejected")
    status = 409 if code in NOT_THE_PAYMENT or not view.refusal else 402
    return _problem(status, code, refusal.get("detail") or "the order was rejected", view)


def _problem(
    status: int, code: str, detail: str, view: OrderView, *, retry_after: int | None = None, **members: Any
) -> Response:
    again = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return problem(
        status,
        code,
        detail,
        headers={"Location": view.links.self} | again,
        orderId=view.order_id,
        orderStatus=view.status.value,
        links=view.links.model_dump(),
        **members,
    )


async def _client_secret(payments: PaymentLookup, record: OrderRecord) -> str | None:
    """Fetched for this answer and kept nowhere. None while Stripe is away: the same request again will have it."""
    if record.payment_intent_id is None:
        return None
    try:
        return (await payments.retrieve(record.payment_intent_id)).client_secret
    except Exception as error:
        log.warning("client_secret_unavailable", order_id=record.view.order_id, error=type(error).__name__)
        return None
