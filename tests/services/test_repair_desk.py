"""What an operator's decision is refused for, and what an order needs after one that the books took."""

from __future__ import annotations

import pytest

from domain.commands import Attention
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from domain.order_states import OrderStatus
from domain.repairs import LATE_MONEY, NO_SCAN, PAYMENT_REFUNDED, STEP_KEEPS_FAILING, RepairDecision, Resolution
from domain.steps import AUTHORIZE, RETURN
from services.orders.named import named_order
from services.repairs import desk
from services.repairs.desk import NextAction
from services.tickets.book import open_ticket
from services.tickets.tables import Ticket
from tests.support.counter import Counter

Do = RepairDecision


async def opened(counter: Counter, order_id: str, kind: str, step: str) -> int:
    async with named_order(counter.book, order_id) as order:
        return await open_ticket(order, Attention(order_id=order_id, step=step, kind=kind, detail="it fails"))


def decided(ticket_id: int, decision: RepairDecision, evidence: str = "bank transfer 4711") -> Resolution:
    return Resolution(ticket_id=ticket_id, decision=decision, by="alice", evidence=evidence)


async def find(counter: Counter, ticket_id: int) -> Ticket:
    async with counter.sessions() as session:
        return await desk.find_ticket(session, ticket_id)


async def test_refuses_what_the_ticket_does_not_allow_before_anybody_is_asked(counter: Counter) -> None:
    """With what is possible instead; and done by hand only with evidence."""
    order_id = await counter.confirmed(await counter.product())
    ticket = await find(counter, await opened(counter, order_id, STEP_KEEPS_FAILING, RETURN))
    scan = await find(counter, await opened(counter, order_id, NO_SCAN, "await_scan"))
    assert ticket.id is not None and scan.id is not None

    desk.require_decidable(ticket, decided(ticket.id, Do.WRITE_OFF))
    with pytest.raises(Conflict) as refused:
        desk.require_decidable(scan, decided(scan.id, Do.WRITE_OFF))
    with pytest.raises(InvalidInput) as no_evidence:
        desk.require_decidable(ticket, decided(ticket.id, Do.MARK_DONE, evidence=""))

    assert refused.value.code == "decision_not_possible"
    assert refused.value.members["possible"] == ["mark_done", "retry"]
    assert [field.name for field in no_evidence.value.fields] == ["evidence"]


async def test_a_ticket_is_resolved_once(counter: Counter) -> None:
    """Whoever comes second hears who was first, before and under the order's lock."""
    order_id = await counter.confirmed(await counter.product())
    ticket_id = await opened(counter, order_id, LATE_MONEY, RETURN)
    first = await desk.settle_in_books(counter.book, order_id, decided(ticket_id, Do.WRITE_OFF))
    second = await desk.settle_in_books(counter.book, order_id, decided(ticket_id, Do.MARK_DONE))

    assert (first.answer.accepted, second.answer.accepted, second.next_action) == (True, False, NextAction.NOTHING)
    with pytest.raises(Conflict) as refused:
        desk.require_decidable(await find(counter, ticket_id), decided(ticket_id, Do.MARK_DONE))
    assert (refused.value.code, refused.value.detail) == ("ticket_resolved", "alice has settled it")
    assert not (await counter.order(order_id)).needs_attention
    with pytest.raises(NotFound):
        await find(counter, 10**17)


@pytest.mark.parametrize(
    ("kind", "step", "decision", "is_ended", "next_action"),
    [
        (PAYMENT_REFUNDED, "hold_payment", Do.MARK_DONE, False, NextAction.LOOK_AT_PAYMENT),
        ("payment_review", "hold_payment", Do.RETRY, False, NextAction.LOOK_AT_PAYMENT),
        ("payment_review", "hold_payment", Do.MARK_DONE, False, NextAction.NOTHING),
        (STEP_KEEPS_FAILING, RETURN, Do.WRITE_OFF, False, NextAction.RECOVER),
        (STEP_KEEPS_FAILING, RETURN, Do.WRITE_OFF, True, NextAction.NOTHING),
        (STEP_KEEPS_FAILING, RETURN, Do.RETRY, True, NextAction.RECOVER),
        (LATE_MONEY, RETURN, Do.RETRY, True, NextAction.RECOVER),
        (LATE_MONEY, RETURN, Do.WRITE_OFF, False, NextAction.NOTHING),
    ],
)
async def test_says_what_the_order_needs_after_the_decision(
    counter: Counter, kind: str, step: str, decision: RepairDecision, is_ended: bool, next_action: NextAction
) -> None:
    """A recovery where something is left to undo, a look at the payment where it holds the goods."""
    order_id = await counter.confirmed(await counter.product())
    ticket_id = await opened(counter, order_id, kind, step)
    if is_ended:
        async with named_order(counter.book, order_id) as order:
            order.move(OrderStatus.CANCELING, "canceled")
            order.move(OrderStatus.CANCELED, "undone")

    settled = await desk.settle_in_books(counter.book, order_id, decided(ticket_id, decision))

    assert (settled.answer.accepted, settled.next_action) == (True, next_action)


@pytest.mark.parametrize(
    ("step", "decision", "takes"),
    [(AUTHORIZE, Do.RETRY, True), (RETURN, Do.WRITE_OFF, True), (AUTHORIZE, Do.MARK_DONE, False),
     ("refund k1", Do.RETRY, False)],
)  # fmt: skip
def test_the_books_decide_for_a_workflow_that_has_ended_only_where_a_recovery_goes_on(
    step: str, decision: RepairDecision, takes: bool
) -> None:
    """Anything else waits until somebody carries the order on again."""
    ticket = Ticket(id=1, order_id="o", kind=STEP_KEEPS_FAILING, step=step, detail="it fails")
    if takes:
        desk.require_books_decide(ticket, decided(1, decision))
    else:
        with pytest.raises(Unavailable, match="nobody carries this order on"):
            desk.require_books_decide(ticket, decided(1, decision))
