"""The states of an order and of its payment, and the one table of transitions that are allowed.

The database holds the same table: every row of an order's timeline refers to it, so that a forbidden transition
cannot be stored even by wrong code (`migrations/`). "Needs attention" is not a state: it is a flag of its own.
"""

from __future__ import annotations

from enum import StrEnum


class OrderStatus(StrEnum):
    """The state of an order. `FINAL` are the states in which it ends, `TRANSITIONS` says which may follow which."""

    PLACED = "PLACED"  # accepted by the API; holds nothing yet
    RESERVED = "RESERVED"  # its stock is held
    AWAITING_CUSTOMER = "AWAITING_CUSTOMER"  # the customer has to act, e.g. 3-D Secure
    CONFIRMED = "CONFIRMED"  # the payment is authorized: the customer has the answer
    READY_TO_SHIP = "READY_TO_SHIP"  # the label is bought, the payment captured
    SHIPPED = "SHIPPED"  # the carrier has scanned the parcel
    DELIVERED = "DELIVERED"
    CANCELING = "CANCELING"  # a cancel was accepted; the undo is running
    CANCELED = "CANCELED"  # fully undone after a cancel, or after a failure after CONFIRMED
    REJECTED = "REJECTED"  # never confirmed: out of stock, declined, abandoned


class PaymentStatus(StrEnum):
    """The state of an order's payment, over all its rounds, as clients and consumers of events see it."""

    PENDING = "Pending"
    REQUIRES_ACTION = "RequiresAction"
    AUTHORIZED = "Authorized"
    CAPTURED = "Captured"
    VOIDED = "Voided"
    REFUNDED = "Refunded"
    PARTIALLY_REFUNDED = "PartiallyRefunded"
    FAILED = "Failed"


_S = OrderStatus
_CANCELABLE = (_S.PLACED, _S.RESERVED, _S.AWAITING_CUSTOMER, _S.CONFIRMED, _S.READY_TO_SHIP)

TRANSITIONS: frozenset[tuple[OrderStatus, OrderStatus]] = frozenset(
    [
        (_S.PLACED, _S.RESERVED),
        (_S.RESERVED, _S.AWAITING_CUSTOMER),
        (_S.RESERVED, _S.CONFIRMED),
        (_S.AWAITING_CUSTOMER, _S.CONFIRMED),
        (_S.CONFIRMED, _S.READY_TO_SHIP),
        (_S.READY_TO_SHIP, _S.SHIPPED),
        (_S.SHIPPED, _S.DELIVERED),
        *((status, _S.CANCELING) for status in _CANCELABLE),
        (_S.CANCELING, _S.CANCELED),
        (_S.PLACED, _S.REJECTED),
        (_S.RESERVED, _S.REJECTED),
        (_S.AWAITING_CUSTOMER, _S.REJECTED),
    ]
)

FINAL = frozenset([_S.DELIVERED, _S.CANCELED, _S.REJECTED])
ANSWERED = frozenset(set(OrderStatus) - {_S.PLACED, _S.RESERVED})
"""States in which a checkout has its answer."""


def allows(from_: OrderStatus, to: OrderStatus) -> bool:
    """Whether a timeline row may lead from one state to the other; a row may also leave the state as it is."""
    return from_ == to or (from_, to) in TRANSITIONS
