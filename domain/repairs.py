"""What people can do about a ticket: the one table that repair desk, workflows, API and command decide by.

Operators' own words are texts (`domain/texts.py`), of which these messages carry the ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from domain.commands import Message
from domain.steps import CANCEL_SHIPMENT, RETURN

STEP_KEEPS_FAILING = "step_keeps_failing"
STEP_REFUSED = "step_refused"
REFUSED_AFTER_SCAN = "refused_after_scan"
AFTER_SCAN = "_after_scan"  # of older tickets: the code with which the step was refused stands before it
NO_SCAN = "no_scan"
SCAN_AFTER_VOID = "scan_after_void"
VOID_PENDING = "void_pending"
VOID_REJECTED = "void_rejected"
LATE_MONEY = "late_money"
REFUND_FAILED = "refund_failed"
FOREIGN_REFUND = "foreign_refund"
FOREIGN_CAPTURE = "foreign_capture"
SETTLED_TWICE = "settled_twice"
PAYMENT_REFUNDED = "payment_refunded"
STUCK_WORKFLOW_TASK = "stuck_workflow_task"
OUR_FAULT = "our_fault"
BRAKE = "brake"
EVENT_PARKED = "event_parked"
WEBHOOK_DISABLED = "webhook_disabled"
RECONCILIATION_STOPPED = "reconciliation_stopped"
DRIFT = "drift"
"""The beginning of all kinds of tickets about books that disagree: `drift_stock`, `drift_payment`."""

NOBODY_YET = 0
"""Instead of a ticket's id: a far end has accepted what the step waits for, and has time left."""

FOLLOW_PARCEL = "follow_parcel"
"""The step under which the tickets of a parcel stand."""


class RepairDecision(StrEnum):
    """What an operator can decide about a ticket; `TABLE` says which of these a kind of ticket allows."""

    RETRY = "retry"  # try again now
    MARK_DONE = "mark_done"  # a person did it by other means, and names the evidence
    WRITE_OFF = "write_off"  # the shop takes the loss


class Resolution(Message):
    """What an operator decides about a ticket.

    `note_id` and `evidence_id` name the texts with the operator's words, which stand here themselves only in an
    update of an older version. `proof` is the repair desk's signature (`services/identities/actors.py`).
    """

    ticket_id: int
    decision: RepairDecision
    by: str
    note: str = ""
    evidence: str = ""
    note_id: str | None = None
    evidence_id: str | None = None
    proof: str = ""


class RecordResolution(Message):
    """A resolution to be written down; `key` makes a repeat of it write nothing."""

    order_id: str
    key: str
    resolution: Resolution


class ResolutionAnswer(Message):
    """What became of a resolution; `code` is stable."""

    accepted: bool
    code: str
    detail: str = ""


class SettledTicket(Message):
    """The answer, and which ticket it was about; `open_steps` have tickets that are still open."""

    answer: ResolutionAnswer
    step: str = ""
    open_steps: list[str] = Field(default=[])


class Owner(StrEnum):
    """Who waits for the decision about a ticket."""

    SAGA = "saga"  # the order's workflow waits for the decision, while there is one
    DESK = "desk"  # nobody waits for it


class TicketRule(NamedTuple):
    """What a kind of ticket is, and what can be done about it."""

    title: str
    owner: Owner
    decisions: Mapping[RepairDecision, str]  # those that are possible, each with what it means for the order


def _can(**means: str) -> dict[RepairDecision, str]:
    """What is possible, by the names of the decisions."""
    return {RepairDecision(name): words for name, words in means.items()}


_NOW = _can(retry="the step is tried again at once")

REFUND_STEP = "refund "
"""Before the key of a goodwill refund: such a step has a workflow of its own."""

BY_STEP: Mapping[str, dict[RepairDecision, str]] = {
    RETURN: _can(
        mark_done="the customer was paid back by other means: the payment counts as returned, and the undo goes on",
        write_off="the money is not given back: the payment keeps the state that it has, and the undo goes on",
    ),
    CANCEL_SHIPMENT: _can(
        mark_done="the parcel stays here and its label is void: the order is undone",
        write_off="the label's price is lost, whether the parcel leaves or not: the order is undone",
    ),
    "confirm_void": _can(
        mark_done="the carrier has taken the label back: the money of the order goes back",
        write_off="the label's price is lost, whether the parcel leaves or not: the money of the order goes back",
    ),
}
"""What is possible, besides a retry, for a step that does not succeed; every other step can only be tried again.

A capture that is still tried is not here: whether it has taken effect is unknown, so nobody can say that it was done.
"""

_LOST = _can(
    retry="the carrier is asked again",
    mark_done="the customer has the goods by other means: the order is DELIVERED",
    write_off="the parcel is given up: the order's workflow ends, and the order stays SHIPPED",
)
_VOID = _can(retry="the carrier is asked again") | BY_STEP[CANCEL_SHIPMENT]
_OWED = _can(
    retry="a recovery looks at Stripe again and gives back what is there",
    mark_done="the customer was paid back by other means",
    write_off="nothing is given back: the shop answers for it",
)
_HOLD = _can(
    retry="the order looks at its payment again",
    mark_done="it is taken care of: the goods stay here until Stripe releases them or the order is canceled",
)

TABLE: Mapping[str, TicketRule] = {
    STEP_KEEPS_FAILING: TicketRule("A step keeps failing and is still retried", Owner.SAGA, _NOW),
    STEP_REFUSED: TicketRule("A step that may not fail refuses to succeed", Owner.SAGA, _NOW),
    REFUSED_AFTER_SCAN: TicketRule(
        "A step was refused, but the parcel is on its way",
        Owner.SAGA,
        _can(
            retry="the carrier is asked again whether the parcel can be called back",
            mark_done="the customer has paid by other means: the order goes on as paid",
            write_off="the order goes on without the money",
        ),
    ),
    NO_SCAN: TicketRule(
        "The carrier has not scanned the parcel for days",
        Owner.SAGA,
        _can(
            retry="the carrier is asked again",
            mark_done="the carrier has the parcel: the order is SHIPPED (to give it up, cancel the order)",
        ),
    ),
    "parcel_return_to_sender": TicketRule("The parcel comes back", Owner.SAGA, _LOST),
    "parcel_failure": TicketRule("The parcel is lost or cannot be delivered", Owner.SAGA, _LOST),
    SCAN_AFTER_VOID: TicketRule(
        "A parcel left although its label was voided",
        Owner.DESK,
        _can(
            mark_done="the parcel is back in the stock",
            write_off="the goods are lost: take them out of the stock by `inventory change`",
        ),
    ),
    VOID_PENDING: TicketRule("The carrier takes longer than usual to confirm a void", Owner.SAGA, _VOID),
    VOID_REJECTED: TicketRule("The carrier refuses to void the label of a canceled order", Owner.SAGA, _VOID),
    LATE_MONEY: TicketRule("Stripe holds money of an order that has ended", Owner.DESK, _OWED),
    REFUND_FAILED: TicketRule("A refund failed after it had succeeded", Owner.DESK, _OWED),
    FOREIGN_REFUND: TicketRule(
        "Money was given back at Stripe, outside of this service",
        Owner.DESK,
        _can(
            mark_done="it was meant: the evidence says by whom",
            write_off="nobody meant it: the shop takes the loss",
        ),
    ),
    FOREIGN_CAPTURE: TicketRule(
        "Another amount was captured at Stripe than the order asks for",
        Owner.DESK,
        _can(
            mark_done="the difference was settled by other means",
            write_off="the difference stays",
        ),
    ),
    SETTLED_TWICE: TicketRule(
        "What a person has settled has happened at Stripe as well",
        Owner.DESK,
        _can(
            mark_done="it was the same money, or one of the two was taken back",
            write_off="both stay: the shop takes the loss",
        ),
    ),
    PAYMENT_REFUNDED: TicketRule(
        "All money of unshipped goods was given back at Stripe (to give the order up, cancel it)",
        Owner.DESK,
        _can(
            retry="the order looks at its payment again",
            mark_done="the customer has paid by other means: the goods may leave",
            write_off="the goods may leave unpaid: the shop takes the loss",
        ),
    ),
    "payment_dispute": TicketRule("The customer disputes the charge", Owner.DESK, _HOLD),
    "payment_review": TicketRule("Stripe reviews the payment for fraud", Owner.DESK, _HOLD),
    STUCK_WORKFLOW_TASK: TicketRule(
        "An order's workflow is stuck on a bug",
        Owner.DESK,
        _can(mark_done="the mended worker is deployed"),
    ),
    OUR_FAULT: TicketRule(
        "Orders wait for a fault of ours: one ticket for each cause",
        Owner.DESK,
        _can(mark_done="it is mended: who waits tries again within a minute; the ticket opens again if not"),
    ),
    BRAKE: TicketRule(
        "Too many orders would end by our own fault: the brake holds them",
        Owner.DESK,
        _can(mark_done="it is mended: the brake is released, as by `ordersaga brake release`"),
    ),
    EVENT_PARKED: TicketRule("The broker refuses an event", Owner.DESK, _can(mark_done="it is mended: sent again")),
    WEBHOOK_DISABLED: TicketRule(
        "A merchant's webhook endpoint fails for too long: nothing is sent to it any more",
        Owner.DESK,
        _can(mark_done="the merchant knows; to go on where it stopped, `ordersaga webhooks enable`"),
    ),
    RECONCILIATION_STOPPED: TicketRule(
        "Too many orders have lost their workflow to undo them all",
        Owner.DESK,
        _can(
            retry="the next reconciliation undoes them, all of them, once",
            mark_done="the right Temporal cluster and the right database are back: "
            "the next reconciliation counts anew",
        ),
    ),
    DRIFT: TicketRule(
        "Two of our books disagree",
        Owner.DESK,
        _can(
            mark_done="the books were put right",
            write_off="the difference stays: the shop takes the loss",
        ),
    ),
}


def rule_of(kind: str, step: str) -> TicketRule:
    """The rule for a ticket. Kinds that are not in the table are codes with which a step refused."""
    if kind.startswith(f"{DRIFT}_"):
        return TABLE[DRIFT]
    rule = TABLE.get(kind, TABLE[REFUSED_AFTER_SCAN if kind.endswith(AFTER_SCAN) else STEP_REFUSED])
    if rule.decisions is _NOW:
        return rule._replace(decisions={**_NOW, **BY_STEP.get(step, {})})
    if kind == REFUND_FAILED and step != RETURN:  # a goodwill refund: another one is asked for
        by_hand = (RepairDecision.MARK_DONE, RepairDecision.WRITE_OFF)
        return rule._replace(decisions={decision: rule.decisions[decision] for decision in by_hand})
    return rule


def settled_by_recovery(kind: str, step: str) -> bool:
    """Whether the ticket closes when a recovery of its order has ended."""
    if rule_of(kind, step).owner is Owner.DESK:
        return kind in (LATE_MONEY, REFUND_FAILED) and step == RETURN
    return not step.startswith(REFUND_STEP)


def markdown_table() -> str:
    """The kinds of tickets as `docs/repair-desk.md` shows them."""
    rows = ["| kind | what it is | who waits for the decision | what can be done |", "|---|---|---|---|"]
    for kind, rule in TABLE.items():
        name = f"`{kind}_...`" if kind == DRIFT else f"`{kind}`"
        rows.append(f"| {name} | {rule.title} | {rule.owner} | {_words(rule.decisions)} |")
    for step, decisions in BY_STEP.items():
        kinds = f"`{STEP_KEEPS_FAILING}`, `{STEP_REFUSED}` of `{step}`"
        rows.append(f"| {kinds} | besides a retry | {Owner.SAGA} | {_words(decisions)} |")
    return "\n".join(rows)


def _words(decisions: Mapping[RepairDecision, str]) -> str:
    return "<br>".join(f"`{decision}`: {means}" for decision, means in decisions.items())
