"""The names under which the steps' fences are kept, and the states of a fence."""

from __future__ import annotations

from enum import StrEnum


class FenceState(StrEnum):
    """How a step of an order has ended; written with the effect of the step, so that a repeat writes nothing."""

    DONE = "done"
    REFUSED = "refused"  # it answered no, and that is final for what was asked
    UNDONE = "undone"  # by its undo, maybe before the step ever ran: a late attempt of it writes nothing


RESERVE = "reserve_inventory"
AUTHORIZE = "authorize_payment"
SHIP = "ship_order"
CAPTURE = "capture_payment"
RETURN = "return_payment"
PAYMENTS = "compare_payments"  # no step of an order: under it the desk knows payments whose books differ
RELEASE = "release_hold"  # of goods whose money was given back: a person has let them go
AT_STRIPE = "money_at_stripe"  # the same of money that somebody else moved
CANCEL_SHIPMENT = "cancel_shipment"  # only where a person settled it
RECORD_SHIPPED = "record_shipped"
RECORD_DELIVERED = "record_delivered"
