"""Who may cancel what: the one table that signal, update, native cancellation and API decide by.

The README's table is generated from `TABLE` (and a test keeps it in step).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from domain.order_states import OrderStatus


class Decision(StrEnum):
    """What becomes of a wish to cancel. The values are stored and shown to clients."""

    ACCEPTED = "accepted"  # undo what was done
    CARRIER_DECIDES = "carrier_decides"  # void the label first: a scanned parcel cannot be called back
    JOINED = "joined"  # canceled already, or on the way: the same answer again
    REFUSED = "refused"


class Rule(NamedTuple):
    """One row of the cancel table: the decision for an order in one state."""

    decision: Decision
    code: str  # the stable word that callers get
    then: str  # what happens next, for people


_ACCEPTED = Rule(
    Decision.ACCEPTED,
    "cancel_accepted",
    "the running attempt finishes, a waiting retry ends at once; then undo, which looks before it acts",
)
_JOINED = Rule(Decision.JOINED, "already_canceling", "the same answer again")

TABLE: dict[OrderStatus, Rule] = {
    OrderStatus.PLACED: _ACCEPTED,
    OrderStatus.RESERVED: _ACCEPTED,
    OrderStatus.AWAITING_CUSTOMER: _ACCEPTED,
    OrderStatus.CONFIRMED: _ACCEPTED,
    OrderStatus.READY_TO_SHIP: Rule(
        Decision.CARRIER_DECIDES,
        "carrier_decides",
        "the label is voided first; refused `already_shipped` when it was scanned, and nothing is undone; "
        "money and stock go back once the carrier has confirmed the void (by `ORDERSAGA_VOID_SETTLES`: accepted it)",
    ),
    OrderStatus.SHIPPED: Rule(Decision.REFUSED, "already_shipped", "a return can be opened"),
    OrderStatus.DELIVERED: Rule(Decision.REFUSED, "already_delivered", "a return can be opened"),
    OrderStatus.CANCELING: _JOINED,
    OrderStatus.CANCELED: Rule(Decision.JOINED, "already_canceled", "the same answer again"),
    OrderStatus.REJECTED: Rule(Decision.REFUSED, "already_rejected", "nothing is held or charged"),
}


LABEL_VOIDED = Rule(Decision.ACCEPTED, "label_voided", "the carrier took the label back: undo")
"""What CARRIER_DECIDES becomes when the parcel had not been scanned."""


def decide(status: OrderStatus, *, label_may_exist: bool = False) -> Rule:
    """The rule for an order in `status`.

    From the moment a label may have been bought the carrier decides, also while the order is still CONFIRMED: a
    parcel may be scanned before the capture has succeeded, and then it has left
    (docs/decisions/0003-cancel-at-checkpoints.md).
    """
    if status is OrderStatus.CONFIRMED and label_may_exist:
        return TABLE[OrderStatus.READY_TO_SHIP]
    return TABLE[status]


def markdown_table() -> str:
    """The table as the README shows it."""
    rows = [f"| {status} | {rule.decision} (`{rule.code}`) | {rule.then} |" for status, rule in TABLE.items()]
    return "\n".join(["| the order is | a cancel is | and then |", "|---|---|---|", *rows])
