"""The repair desk: which decision a ticket allows of, its way into the books, and what the order needs after it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import Conflict, NotFound, Unavailable, bad_fields
from domain.order_states import FINAL
from domain.repairs import (
    BRAKE,
    BY_STEP,
    EVENT_PARKED,
    PAYMENT_REFUNDED,
    REFUND_STEP,
    Owner,
    RepairDecision,
    Resolution,
    ResolutionAnswer,
    rule_of,
)
from services.brake import brake
from services.orders.book import LockedOrder, OrderBook
from services.orders.named import named_order
from services.outbox import parking
from services.repairs import decisions
from services.tickets.tables import Ticket


class NextAction(StrEnum):
    """What the order needs after a decision was written into its books."""

    NOTHING = "nothing"
    LOOK_AT_PAYMENT = "look_at_payment"  # its workflow looks at the payment again
    RECOVER = "recover"  # a recovery goes on from the books, unless a workflow runs


class SettledInBooks(NamedTuple):
    """What became of a decision in the books."""

    answer: ResolutionAnswer
    next_action: NextAction = NextAction.NOTHING


async def find_ticket(session: AsyncSession, ticket_id: int) -> Ticket:
    """The ticket. Raises NotFound."""
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise no_such_ticket()
    return ticket


def no_such_ticket() -> NotFound:
    """The refusal of a ticket's id that is not known."""
    return NotFound("no_such_ticket", "there is no ticket of this id")


def require_decidable(ticket: Ticket, wanted: Resolution) -> None:
    """Refuses what can be refused without asking anybody; whoever carries it out looks again, under the order's lock.

    Raises Conflict for a ticket that is resolved and for a decision that is not possible, InvalidInput for
    missing evidence.
    """
    if ticket.resolved_at is not None:
        raise refused(ticket, "ticket_resolved", f"{ticket.resolved_by} has settled it")
    if wanted.decision not in rule_of(ticket.kind, ticket.step).decisions:
        raise refused(ticket, "decision_not_possible", f"{wanted.decision} is not possible for this ticket")
    if wanted.decision is RepairDecision.MARK_DONE and not wanted.evidence:
        raise bad_fields({"evidence": "needed for mark_done: how it can be seen that it was done"})


def require_books_decide(ticket: Ticket, wanted: Resolution) -> None:
    """For a ticket of the saga whose workflow has ended: raises Unavailable where the books cannot take the decision
    in its place."""
    of_refund, retry = ticket.step.startswith(REFUND_STEP), wanted.decision is RepairDecision.RETRY
    if of_refund or not (retry or ticket.step in BY_STEP):
        detail = "nobody carries this order on right now; try again when it was recovered"
        raise Unavailable("no_running_workflow", detail, order_id=ticket.order_id)


def refused(ticket: Ticket, code: str, detail: str) -> Conflict:
    """The refusal of a decision about the ticket, with what is possible instead where that is the reason."""
    possible = sorted(rule_of(ticket.kind, ticket.step).decisions) if code == "decision_not_possible" else []
    members: dict[str, Any] = {
        "ticket_id": str(ticket.id),
        "kind": ticket.kind,
        "possible": possible,
        "order_id": ticket.order_id,
    }
    return Conflict(code, detail, **{name: value for name, value in members.items() if value})


async def settle_in_books(book: OrderBook, order_id: str, wanted: Resolution) -> SettledInBooks:
    """Carries out a decision about a ticket of an order for which no workflow waits."""
    async with named_order(book, order_id) as order:
        ticket = await order.session.get_one(Ticket, wanted.ticket_id)
        answer = await decisions.resolve(order, ticket, wanted)
        next_action = _next_action(order, ticket, wanted) if answer.accepted else NextAction.NOTHING
    return SettledInBooks(answer, next_action)


def _next_action(order: LockedOrder, ticket: Ticket, decided: Resolution) -> NextAction:
    retry, of_saga = decided.decision is RepairDecision.RETRY, rule_of(ticket.kind, ticket.step).owner is Owner.SAGA
    if ticket.kind == PAYMENT_REFUNDED or (retry and ticket.kind.startswith("payment_")):
        return NextAction.LOOK_AT_PAYMENT
    has_more_to_undo = of_saga and order.status not in FINAL
    return NextAction.RECOVER if retry or has_more_to_undo else NextAction.NOTHING


async def settle_about_no_order(session: AsyncSession, wanted: Resolution) -> ResolutionAnswer:
    """Carries out a decision about a ticket of no one order.

    One about the brake releases it, one about a parked event lets that be sent again.
    """
    query = select(Ticket).where(col(Ticket.id) == wanted.ticket_id).with_for_update()
    ticket = (await session.exec(query)).one()
    answer = await decisions.resolve_about(session, ticket, wanted)
    if answer.accepted and ticket.kind == BRAKE:
        await brake.release(session, wanted.by, wanted.note_id or wanted.evidence_id)
    if answer.accepted and ticket.kind == EVENT_PARKED and ticket.subject:
        await parking.unpark(await session.connection(), ticket.subject)
    return answer
