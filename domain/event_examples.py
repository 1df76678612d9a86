"""One example of each event, from the life of one order: for documents, and for tests of what reads events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.cloud_events import CloudEvent
from domain.event_registry import ORDERS, PRODUCTS, PROMOTIONS, REGISTRY, EventType
from domain.events import EventName, item
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from domain.repairs import OUR_FAULT

ORDER_ID = "5f0c1b1e9d7a4c55a3f2e8d96b7c4a10"
PRODUCT_ID = "001"
PROMOTION_ID = "9d2f6a8c4b1e4f7a8c3d5e6f70819203"
BEGAN = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_TRACKED = {"tracking_number": "EZ1000000001"}
_S, _P, _N = OrderStatus, PaymentStatus, EventName

MOMENTS: Mapping[EventName, tuple[OrderStatus, PaymentStatus, Mapping[str, str]]] = {
    _N.ORDER_PLACED: (_S.PLACED, _P.PENDING, {}),
    _N.INVENTORY_RESERVED: (_S.RESERVED, _P.PENDING, {}),
    _N.PAYMENT_AUTHORIZED: (_S.CONFIRMED, _P.AUTHORIZED, {}),
    _N.PAYMENT_ACTION_REQUIRED: (_S.AWAITING_CUSTOMER, _P.REQUIRES_ACTION, {}),
    _N.PAYMENT_DECLINED: (_S.AWAITING_CUSTOMER, _P.FAILED, {"reason": "insufficient_funds"}),
    _N.ORDER_CONFIRMED: (_S.CONFIRMED, _P.AUTHORIZED, {}),
    _N.SHIPMENT_BOOKED: (_S.CONFIRMED, _P.AUTHORIZED, _TRACKED),
    _N.SHIPMENT_HELD: (_S.CANCELING, _P.AUTHORIZED, _TRACKED),
    _N.PAYMENT_CAPTURED: (_S.READY_TO_SHIP, _P.CAPTURED, {}),
    _N.ORDER_SHIPPED: (_S.SHIPPED, _P.CAPTURED, _TRACKED),
    _N.ORDER_DELIVERED: (_S.DELIVERED, _P.CAPTURED, _TRACKED),
    _N.CANCEL_REQUESTED: (_S.CONFIRMED, _P.AUTHORIZED, {"reason_id": "1b9d6bcdbbfd4b2d9b5dab8dfbbd4bed"}),
    _N.CANCEL_REFUSED: (_S.SHIPPED, _P.CAPTURED, {"reason": "already_shipped"}),
    _N.PAYMENT_VOIDED: (_S.CANCELING, _P.VOIDED, {}),
    _N.PAYMENT_REFUNDED: (_S.DELIVERED, _P.PARTIALLY_REFUNDED, {"amount": "79.99"}),
    _N.INVENTORY_RELEASED: (_S.CANCELING, _P.VOIDED, {}),
    _N.ORDER_CANCELED: (_S.CANCELED, _P.VOIDED, {"reason": "cancel_accepted"}),
    _N.ORDER_REJECTED: (_S.REJECTED, _P.PENDING, {"reason": "out_of_stock"}),
    _N.ORDER_NEEDS_ATTENTION: (_S.CONFIRMED, _P.AUTHORIZED, {"reason": OUR_FAULT}),
    _N.ORDER_RESOLVED: (_S.CONFIRMED, _P.AUTHORIZED, {"reason": OUR_FAULT}),
}
"""Where order and payment stand when an event of the order is written, and what else it says."""


_SUBJECT_OF = {ORDERS: ORDER_ID, PRODUCTS: PRODUCT_ID, PROMOTIONS: PROMOTION_ID}


def example(event: EventType) -> CloudEvent:
    """The event as it reaches consumers, always the same."""
    number = REGISTRY.index(event) + 1
    event_id = f"00000000-0000-4000-8000-{number:012}"
    at = BEGAN + timedelta(seconds=number)
    data = event.data.model_validate(_common(event.name, event_id, at) | _own(event))
    return CloudEvent(
        id=event_id,
        type=event.type,
        source=event.source,
        subject=_SUBJECT_OF[event.source],
        sequence=number,
        time=at,
        traceparent=TRACEPARENT,
        data=data.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def _common(name: EventName, event_id: str, at: datetime) -> dict[str, Any]:
    return {"event_id": event_id, "event_type": name, "timestamp": at}


def _own(event: EventType) -> dict[str, Any]:
    if event.source == PRODUCTS:
        return {"product_id": PRODUCT_ID, "quantity_change": -1, "new_quantity": 149}
    if event.source == PROMOTIONS:
        return {"promotion_id": PROMOTION_ID, "name": "Save 10 %", "code": "SAVE10", "usage_limit": 100}
    order_status, payment_status, more = MOMENTS[event.name]
    return {
        "detail_type": event.name,
        "order_id": ORDER_ID,
        "user_id": "123",
        "customer_id": "123",
        "order_status": order_status,
        "payment_status": payment_status,
        "items": [
            item("001", 1, Money.parse("79.99", "USD")),
            item("002", 1, Money.parse("199.99", "USD")),
        ],
        "currency": "USD",
        "total_amount": "279.98",
        **more,
    }
