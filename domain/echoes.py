"""Echoes: webhooks that only repeat what a step of ours has just done, and when an event may be taken for one.

An event is an echo when our books already say what it says, or a later state of the same object. To skip one is safe
because news never comes inside an echo: whatever else happens to a payment or parcel makes an event of its own, whose
type or contents are none of those below. What is unknown, of another shape or in doubt is no echo: it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeGuard

from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from domain.parcels import parcel_status
from domain.payments import IntentStatus, PaymentState


class Echo(NamedTuple):
    """What our books have to say for an event to tell nothing new; amounts in minor units.

    `rows` are states of the payment, or statuses of the parcel, that are the event's own or later ones. `captured` is
    what has to be booked as captured; None: any amount, of an event from before the capture.
    """

    orders: frozenset[OrderStatus]
    rows: frozenset[str]
    amount: int | None = None
    currency: str | None = None
    captured: int | None = None


UNDER_WAY = frozenset(
    [
        OrderStatus.PLACED,
        OrderStatus.RESERVED,
        OrderStatus.AWAITING_CUSTOMER,
        OrderStatus.CONFIRMED,
        OrderStatus.READY_TO_SHIP,
        OrderStatus.SHIPPED,
    ]
)
"""Orders that are neither over nor on their way back: about any other one each event is looked at."""

STEPS_RUN = frozenset([OrderStatus.PLACED, OrderStatus.RESERVED, OrderStatus.CONFIRMED])
"""Orders of which a step of ours may be at Stripe just now, so that an event can overtake our own books."""

_AUTHORIZED = frozenset([PaymentState.AUTHORIZED, PaymentState.CAPTURED])
_CREATED = _AUTHORIZED | {PaymentState.CREATED, PaymentState.REQUIRES_ACTION}
_UNCONFIRMED = (IntentStatus.REQUIRES_PAYMENT_METHOD, IntentStatus.REQUIRES_CONFIRMATION)

_WAITS = frozenset([ParcelStatus.UNKNOWN, ParcelStatus.PRE_TRANSIT])
_MOVES = frozenset([ParcelStatus.IN_TRANSIT, ParcelStatus.OUT_FOR_DELIVERY, ParcelStatus.PICKUP])


def of_payment(kind: str, about: Mapping[str, object]) -> Echo | None:
    """Reads an event of Stripe: its type, and the object as it was then. None for what has to be looked at.

    https://docs.stripe.com/api/events/types. Disputes, reviews, refunds, failures, cancels and expiries have types of
    their own, which are none of these.
    """
    amount, currency = about.get("amount"), about.get("currency")
    if not _is_amount(amount) or not isinstance(currency, str) or about.get("review") is not None:
        return None
    found = _of_intent(kind, about, amount) if kind.startswith("payment_intent.") else _of_charge(kind, about)
    if found is None:
        return None
    rows, captured = found
    return Echo(UNDER_WAY, rows, amount, currency.upper(), captured)


def of_parcel(kind: str, about: Mapping[str, object]) -> Echo | None:
    """Reads an event of the carrier, as `of_payment` does. A parcel's first scan, its end and its loss are news.

    https://docs.easypost.com/docs/trackers: a status may fall back to `unknown`, while the details tell of a scan.
    """
    said, details = about.get("status"), about.get("tracking_details") or []
    if (
        kind not in ("tracker.created", "tracker.updated")
        or not isinstance(said, str)
        or said not in set(ParcelStatus)
    ):
        return None
    if not isinstance(details, list) or not all(isinstance(detail, Mapping) for detail in details):
        return None
    status = parcel_status(str(said), [str(detail.get("status") or "") for detail in details])
    if status in _WAITS:
        return Echo(frozenset([OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP]), _known(_WAITS, status))
    if status in _MOVES:
        return Echo(frozenset([OrderStatus.SHIPPED]), _known(_MOVES, status))
    return None


Found = tuple[frozenset[PaymentState], int | None]


def _of_intent(kind: str, about: Mapping[str, object], amount: object) -> Found | None:
    status, received, capturable = about.get("status"), about.get("amount_received"), about.get("amount_capturable")
    if kind == "payment_intent.created" and status in _UNCONFIRMED and (received, capturable) == (0, 0):
        return _CREATED, None
    if kind == "payment_intent.amount_capturable_updated" and status == IntentStatus.REQUIRES_CAPTURE:
        return (_AUTHORIZED, None) if (received, capturable) == (0, amount) else None
    if kind == "payment_intent.succeeded" and status == IntentStatus.SUCCEEDED and _is_amount(received):
        return (frozenset([PaymentState.CAPTURED]), received) if capturable == 0 else None
    return None


def _of_charge(kind: str, about: Mapping[str, object]) -> Found | None:
    untouched = about.get("disputed") is False and about.get("amount_refunded") == 0
    if not untouched or about.get("status") != "succeeded":
        return None
    taken, captured = about.get("amount_captured"), about.get("captured")
    if kind == "charge.succeeded" and captured is False and taken == 0:
        return _AUTHORIZED, None
    if kind == "charge.captured" and captured is True and _is_amount(taken):
        return frozenset([PaymentState.CAPTURED]), taken
    return None


def _is_amount(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _known(of: frozenset[ParcelStatus], said: ParcelStatus) -> frozenset[str]:
    """Those in which our books learn nothing from what is said."""
    return frozenset(status for status in of if status.then(said) is status)
