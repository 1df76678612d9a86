"""The parameters of our calls to Stripe, as they are made before they are saved (`saved_calls.py`).

Amounts are in minor units. Nothing here names a customer or quotes what a person wrote.
"""

from __future__ import annotations

from typing import Any

from adapters.stripe.payments import PaymentSnapshot
from domain.commands import PaymentTry
from services.orders.book import LockedOrder
from services.orders.tables import Order

VOID_PARAMS: dict[str, Any] = {"cancellation_reason": "requested_by_customer"}
RENEWAL_CONFIRM_PARAMS: dict[str, Any] = {"expand": ["latest_charge"], "off_session": True}


def create_params(order: LockedOrder, ref: PaymentTry, stripe_customer: str | None = None) -> dict[str, Any]:
    """A PaymentIntent that moves no money yet: unconfirmed, captured by hand, with our reference."""
    row: Order = order.row
    params: dict[str, Any] = {
        "amount": row.total_minor,
        "currency": row.currency.lower(),
        "capture_method": "manual",
        "allowed_payment_method_types": ["card"],
        "metadata": {"order_id": row.order_id, "round": str(ref.round)},
    }
    method = ref.payment_method or row.payment_method
    if method.startswith("pm_"):
        params["payment_method"] = method
    if stripe_customer is not None:
        params |= {"customer": stripe_customer, "setup_future_usage": "off_session"}
    return params


def renewal_params(order: LockedOrder, ref: PaymentTry, former: PaymentSnapshot) -> dict[str, Any]:
    """A PaymentIntent in place of one whose authorization ends, on the card that the customer let us keep."""
    params = create_params(order, ref)
    kept = {"customer": former.customer, "payment_method": former.payment_method}
    return params | kept


def confirm_params(ref: PaymentTry) -> dict[str, Any]:
    """The confirmation of a checkout's round, with the customer at hand; with another card if they offered one."""
    params: dict[str, Any] = {"expand": ["latest_charge"]}
    if ref.payment_method:
        params["payment_method"] = ref.payment_method
    return params
