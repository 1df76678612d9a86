"""The messages about labels that are made void: what the saga asks, and what became of it.

They lie in workflow histories like those of `commands.py`, by the same rule.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from domain.commands import Message, OrderRef


class VoidOutcome(StrEnum):
    """What became of a shipment's label when the saga asked the carrier to void it."""

    NOTHING = "nothing"  # no label was ever bought
    VOIDED = "voided"
    REQUESTED = "requested"  # the carrier decides later
    SCANNED = "scanned"  # refused: the parcel is on its way


class ConfirmVoid(OrderRef):
    """The argument of `confirm_void`: has the carrier confirmed the void?

    With `answers` a pending void is an answer; without (older orders) it is an error, and Temporal's retries wait.
    """

    answers: bool = False


class VoidedShipment(Message):
    """What became of a label; the other fields say what to do about one whose void is only requested.

    `money_first` is the setting `ORDERSAGA_VOID_SETTLES=accepted`: stock and money go back before the carrier has
    confirmed. `look_again_in` is the pause before the carrier is asked again. `ticket` is the kind of the ticket to
    open, with its `detail`; empty for none.
    """

    outcome: VoidOutcome
    money_first: bool = False
    look_again_in: timedelta = timedelta(0)
    ticket: str = ""
    detail: str = ""
