"""What clients send to the repair desk, and what they get."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from api.http.fields import Body, Identifier, NoCardNumber, Text40, Wire
from domain.order_states import OrderStatus, PaymentStatus
from domain.repairs import Owner, RepairDecision

Words = Annotated[
    str,
    StringConstraints(strict=True, max_length=500, strip_whitespace=True, pattern=r"^[^\x00]*$"),
    NoCardNumber,
]


def _unset(value: Any) -> bool:
    return value in (None, "")


class TicketStatus(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


class Shown(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


class RepairQuery(Body):
    """The filters of the list of tickets."""

    status: Shown = Shown.OPEN
    kind: Identifier | None = None
    order_id: Identifier | None = None
    cursor: str | None = Field(default=None, max_length=500)
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ResolutionWanted(Body):
    """`by` is kept for good; `note` and `evidence` are texts, which can be erased."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"decision": "retry"},
                {"decision": "mark_done", "evidence": "bank transfer 2026-11-21/4711"},
            ]
        }
    )

    decision: RepairDecision
    by: Text40 | None = Field(default=None, description="as your token says; may be left out")
    note: Words = ""
    evidence: Words = Field(default="", description="needed for mark_done: how it can be seen that it was done")


class RepairLinks(Wire):
    self: str
    order: str | None = Field(default=None, exclude_if=_unset)
    temporal: str | None = Field(default=None, exclude_if=_unset)


class RepairSummary(Wire):
    ticket_id: str
    status: TicketStatus
    kind: str = Field(examples=["step_keeps_failing"])
    title: str
    step: str = Field(examples=["return_payment"])
    order_id: str | None = Field(default=None, exclude_if=_unset)
    subject: str | None = Field(
        default=None, exclude_if=_unset, description="which of several things of the kind it is about"
    )
    detail: str
    owner: Owner = Field(description="saga: the order's workflow waits for the decision; desk: nobody does")
    opened_at: datetime
    resolved_at: datetime | None = Field(default=None, exclude_if=_unset)
    resolved_by: str | None = Field(default=None, exclude_if=_unset)
    asked_by: str | None = Field(
        default=None, exclude_if=_unset, description="wants a write-off, for which another person has to ask as well"
    )
    links: RepairLinks


class RepairList(Wire):
    tickets: list[RepairSummary]
    next_cursor: str | None


class PossibleDecision(Wire):
    decision: RepairDecision
    means: str


class TicketActionRow(Wire):
    """A row of the audit trail, which is never changed."""

    at: datetime
    by: str
    action: str = Field(examples=["opened"])
    note: str = Field(default="", exclude_if=_unset)
    evidence: str = Field(default="", exclude_if=_unset)


class TicketOrder(Wire):
    status: OrderStatus
    payment_status: PaymentStatus
    needs_attention: bool
    payment_intent_id: str | None = Field(default=None, exclude_if=_unset)
    shipment_id: str | None = Field(default=None, exclude_if=_unset)
    tracking_number: str | None = Field(default=None, exclude_if=_unset)


class WaitingOrders(Wire):
    """Of a fault of ours: the orders that it holds up."""

    count: int
    examples: list[str] = Field(description="the ids of some of them")


class RepairView(RepairSummary):
    order: TicketOrder | None = Field(default=None, exclude_if=_unset)
    waiting: WaitingOrders | None = Field(default=None, exclude_if=_unset)
    last_error: str = Field(description="of the step that is retried, or what opened the ticket")
    possible: list[PossibleDecision] = Field(description="empty once the ticket is resolved")
    actions: list[TicketActionRow]


class ResolutionView(Wire):
    """What became of a decision; `accepted` is null while the order's workflow has not carried it out."""

    ticket_id: str
    accepted: bool | None
    code: str = Field(examples=["resolved"])
    detail: str
    links: RepairLinks
