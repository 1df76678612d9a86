"""What people have decided about payments: the latest decision about each, with what was known then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import func, select

from domain.payments import IntentStatus, PaymentState
from domain.refunds import RefundState
from domain.repairs import SETTLED_TWICE, RepairDecision
from domain.settled_payments import Known, Settled
from domain.steps import CAPTURE, PAYMENTS, RETURN
from services.orders.book import LockedOrder
from services.payments.book import payment_of
from services.refunds.tables import Refund
from services.tickets.tables import Ticket

STEPS = (RETURN, CAPTURE, PAYMENTS)

# A ticket of the saga names no payment while it is open: it is about the order's latest one. What was known was not
# kept by older versions: then it is what the books say without the refunds that somebody gave at Stripe.
_DECISIONS = text("""
    SELECT tickets.id, tickets.kind, tickets.step, tickets.seen, ticket_actions.action,
           coalesce(tickets.subject, latest.payment_intent_id) AS payment, payments.captured_minor,
           (SELECT coalesce(sum(amount_minor), 0) FROM refunds
             WHERE refunds.order_id = tickets.order_id AND refunds.payment_intent_id IS NULL
               AND refunds.state IN ('pending', 'succeeded')) AS refunded
      FROM (SELECT * FROM tickets WHERE order_id = ANY(:orders)
             UNION ALL
            SELECT * FROM tickets WHERE order_id IS NULL AND subject = ANY(:payments)) AS tickets
      JOIN ticket_actions ON ticket_actions.ticket_id = tickets.id
      LEFT JOIN LATERAL (SELECT payment_intent_id FROM payments WHERE payments.order_id = tickets.order_id
                          ORDER BY attempt DESC LIMIT 1) AS latest ON true
      LEFT JOIN payments ON payments.payment_intent_id = coalesce(tickets.subject, latest.payment_intent_id)
     WHERE (tickets.step = ANY(:steps) OR tickets.kind = :twice)
       AND ticket_actions.action IN ('retry', 'mark_done', 'write_off')
     ORDER BY ticket_actions.id
""")


async def settled_payments(
    connection: AsyncConnection, orders: Sequence[str], payments: Sequence[str] = ()
) -> dict[str, Settled]:
    """By PaymentIntent; none where nobody has decided, or the latest decision was to try again."""
    asked = {"orders": list(orders), "payments": list(payments), "steps": list(STEPS), "twice": SETTLED_TWICE}
    settled: dict[str, Settled] = {}
    for row in await connection.execute(_DECISIONS, asked):
        if row.action == RepairDecision.RETRY:
            settled.pop(row.payment, None)
        elif row.payment is not None:
            settled[row.payment] = _settled(row)
    return settled


def _settled(row: Row[tuple[Any, ...]]) -> Settled:
    known = row.seen or {"received": row.captured_minor or 0, "refunded": int(row.refunded)}
    return Settled(
        ticket_id=row.id,
        kind=row.kind,
        step=row.step,
        decision=RepairDecision(row.action),
        known=Known.model_validate(known),
    )


async def keep_what_is_known(order: LockedOrder, ticket: Ticket) -> None:
    """Before a decision changes the books: which payment it is about, and what they say of it."""
    payment = payment_of(order)
    if ticket.step not in STEPS or ticket.seen is not None or payment is None:
        return
    ticket.subject = ticket.subject or payment.payment_intent_id
    if ticket.subject == payment.payment_intent_id:
        of_order = (Refund.order_id == order.row.order_id, Refund.state == RefundState.PENDING)
        pending = (await order.session.exec(select(func.sum(Refund.amount_minor)).where(*of_order))).one()
        refunded = payment.refunded_minor + int(pending or 0)
        status = IntentStatus.CANCELED.value if payment.state == PaymentState.VOIDED else ""
        ticket.seen = Known(status=status, received=payment.captured_minor, refunded=refunded).model_dump()
    order.session.add(ticket)
