"""The names under which the steps' fences are kept, and the states of a fence."""

from __future__ import annotations

from enum import StrEnum


class StepState(StrEnum):
    """What a step's fence says, so that a late or repeated attempt of the step writes nothing."""

    DONE = "done"  # it has taken effect; a repeat gets the same answer
    REFUSED = "refused"  # it will not take effect, and never has
    UNDONE = "undone"  # its undo was first: no attempt may take effect any more


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
