"""The HTTP answer of a checkout, read off the order's row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from fastapi import Response

from api.deps import Services
from api.http.problems import answer as refusal_answer
from api.orders.schemas import OrderAnswer, OrderView
from api.orders.view import OrderRecord
from domain.errors import ENDS_BY_OUR_FAULT, Conflict, PaymentRequired, Refused, Unavailable
from domain.order_states import OrderStatus

CONFIRMED = frozenset([OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP, OrderStatus.SHIPPED, OrderStatus.DELIVERED])
UNANSWERED = frozenset([OrderStatus.PLACED, OrderStatus.RESERVED])
CANCELED = frozenset([OrderStatus.CANCELING, OrderStatus.CANCELED])

# A refusal for any other reason came from the payment.
NOT_THE_PAYMENT = (
    frozenset(
        [
            "out_of_stock",
            "coupon_exhausted",
            "coupon_used_up",
            "abandoned",
            "timed_out",
            "error",
            "never_started",
            "recovered",
        ]
    )
    | ENDS_BY_OUR_FAULT
)

FAULT_RETRY_AFTER = timedelta(seconds=15)  # a person has to mend it

log = structlog.get_logger()


async def answer(services: Services, record: OrderRecord, *, confirmed: int = 201, answered: bool = True) -> Response:
    """201 confirmed, 202 pending or the customer has to act, else the refusal that the order's row tells of.

    `answered` is False for an order whose next answer is still to come.
    """
    view = record.view
    if view.status in CONFIRMED:
        return _document(confirmed, view)
    if (refused := _refused(view, answered=answered)) is not None:
        return refusal_answer(refused, {"Location": view.links.self})
    if answered and view.status is OrderStatus.AWAITING_CUSTOMER:
        secret = await _client_secret(services, record)
        return _document(202, OrderAnswer.model_construct(**view.__dict__, client_secret=secret))
    return _document(202, view)


def is_declined(view: OrderView) -> bool:
    """Whether the order tells that its payment was declined."""
    return isinstance(_refused(view, answered=True), PaymentRequired)


def _document(status: int, view: OrderView) -> Response:
    headers = {"Location": view.links.self}
    if status == 202:
        headers["Retry-After"] = "1"
    return Response(view.model_dump_json(by_alias=True), status, headers, "application/json")


def _refused(view: OrderView, *, answered: bool) -> Refused | None:
    """Why the order is not confirmed; None for one that still may be.

    Unavailable while a fault of ours holds it up: the same request has its outcome later. A PaymentRequired with
    `retry_until` waits for another payment method until then.
    """
    members: dict[str, Any] = {
        "order_id": view.order_id,
        "order_status": view.status.value,
        "links": view.links.model_dump(),
    }
    if view.waits_for and (view.status in UNANSWERED or not answered):
        detail = "a fault on our side holds this order up; it goes on by itself, or is undone with nothing charged"
        return Unavailable("temporarily_unavailable", detail, retry_after=FAULT_RETRY_AFTER, **members)
    if not answered:
        return None
    refusal = view.refusal or {}
    if view.status is OrderStatus.REJECTED:
        code = refusal.get("code", "order_rejected")
        kind = Conflict if code in NOT_THE_PAYMENT or not refusal else PaymentRequired
        return kind(code, refusal.get("detail") or "the order was rejected", **members)
    if view.status in CANCELED:
        return Conflict("order_canceled", "the order was canceled before it was confirmed", **members)
    if view.status is OrderStatus.AWAITING_CUSTOMER and refusal:
        return PaymentRequired(refusal["code"], refusal["detail"], **members, retry_until=refusal["retryUntil"])
    return None


async def _client_secret(services: Services, record: OrderRecord) -> str | None:
    """Fetched for this answer and kept nowhere. None while Stripe is away: the same request again will have it."""
    if record.payment_intent_id is None:
        return None
    try:
        return (await services.payments.retrieve(record.payment_intent_id)).client_secret
    except Exception as error:
        log.warning("client_secret_unavailable", order_id=record.view.order_id, error=type(error).__name__)
        return None
