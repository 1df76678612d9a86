"""Each decision about money against each true outcome at Stripe: what the books say then, and who is called."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from domain.order_states import OrderStatus
from domain.recovery import PaymentAtStripe, PaymentInBooks, Verdict, judge_payment
from domain.repairs import (
    BY_STEP,
    FOREIGN_CAPTURE,
    FOREIGN_REFUND,
    LATE_MONEY,
    PAYMENT_REFUNDED,
    REFUND_FAILED,
    REFUSED_AFTER_SCAN,
    SETTLED_TWICE,
    STEP_REFUSED,
    TABLE,
    RepairDecision,
    rule_of,
)
from domain.settled_payments import Known, Settled
from domain.steps import AT_STRIPE, CAPTURE, PAYMENTS, RETURN

RETRY, DONE, LOSS = RepairDecision
HELD = PaymentAtStripe(id="pi_1", order_id="1", status="requires_capture")
TAKEN = PaymentAtStripe(id="pi_1", order_id="1", status="succeeded", received=2000)
PART = TAKEN.model_copy(update={"refunded": 500})
BACK = TAKEN.model_copy(update={"refunded": 2000})
RELEASED = PaymentAtStripe(id="pi_1", order_id="1", status="canceled")
CANCELED, DELIVERED = OrderStatus.CANCELED, OrderStatus.DELIVERED

AGREES, TWICE, BOOK, LATE, REPORT, GIVE_BACK = (
    Verdict.AGREES, Verdict.TWICE, Verdict.BOOK, Verdict.LATE, Verdict.REPORT, Verdict.GIVE_BACK,
)  # fmt: skip


class Case(NamedTuple):
    """`known` when it was decided, `row` as the decision left our book, `true` what Stripe says in the end."""

    kind: str
    step: str
    decision: RepairDecision
    known: PaymentAtStripe
    row: PaymentInBooks | None
    order: OrderStatus
    true: PaymentAtStripe
    verdict: Verdict


def book(state: str, captured: int = 0, refunded: int = 0) -> PaymentInBooks:
    return PaymentInBooks(state=state, captured=captured, refunded=refunded)


PAID_BACK, VOIDED = book("refunded", 2000, 2000), book("voided")
KEPT, HOLDING = book("captured", 2000), book("authorized")
NOTHING = PaymentAtStripe(id="pi_1", order_id="1", status="")  # what our books knew: no capture, no refund

CASES = [
    # A return that was captured: done by hand, or written off.
    Case(STEP_REFUSED, RETURN, DONE, TAKEN, PAID_BACK, CANCELED, TAKEN, AGREES),
    Case(STEP_REFUSED, RETURN, DONE, TAKEN, PAID_BACK, CANCELED, BACK, TWICE),
    Case(STEP_REFUSED, RETURN, DONE, TAKEN, PAID_BACK, CANCELED, PART, TWICE),
    Case(STEP_REFUSED, RETURN, DONE, PART, PAID_BACK, CANCELED, PART, AGREES),  # a goodwill refund before
    Case(STEP_REFUSED, RETURN, DONE, PART, PAID_BACK, CANCELED, BACK, TWICE),
    Case(STEP_REFUSED, RETURN, LOSS, TAKEN, KEPT, CANCELED, TAKEN, AGREES),
    Case(STEP_REFUSED, RETURN, LOSS, TAKEN, KEPT, CANCELED, BACK, BOOK),
    # A return of money that was only held.
    Case(STEP_REFUSED, RETURN, DONE, NOTHING, VOIDED, CANCELED, HELD, AGREES),
    Case(STEP_REFUSED, RETURN, DONE, NOTHING, VOIDED, CANCELED, RELEASED, TWICE),
    Case(STEP_REFUSED, RETURN, DONE, NOTHING, VOIDED, CANCELED, TAKEN, AGREES),  # taken once, paid back once
    Case(STEP_REFUSED, RETURN, LOSS, NOTHING, HOLDING, CANCELED, HELD, AGREES),
    Case(STEP_REFUSED, RETURN, LOSS, NOTHING, HOLDING, CANCELED, RELEASED, BOOK),
    Case(STEP_REFUSED, RETURN, LOSS, NOTHING, HOLDING, CANCELED, TAKEN, LATE),
    # A capture of goods that are on their way.
    Case(REFUSED_AFTER_SCAN, CAPTURE, DONE, NOTHING, HOLDING, DELIVERED, RELEASED, AGREES),
    Case(REFUSED_AFTER_SCAN, CAPTURE, DONE, NOTHING, HOLDING, DELIVERED, TAKEN, TWICE),
    Case(REFUSED_AFTER_SCAN, CAPTURE, LOSS, NOTHING, HOLDING, DELIVERED, RELEASED, AGREES),
    Case(REFUSED_AFTER_SCAN, CAPTURE, LOSS, NOTHING, HOLDING, DELIVERED, TAKEN, TWICE),
    # Late money: of a payment of ours, and of one that our books do not know.
    *(
        case
        for row in (VOIDED, None)
        for case in (
            Case(LATE_MONEY, RETURN, DONE, TAKEN, row, CANCELED, TAKEN, AGREES),
            Case(LATE_MONEY, RETURN, DONE, TAKEN, row, CANCELED, BACK, TWICE),
            Case(LATE_MONEY, RETURN, DONE, HELD, row, CANCELED, RELEASED, TWICE),
            Case(LATE_MONEY, RETURN, LOSS, TAKEN, row, CANCELED, TAKEN, AGREES),
            Case(LATE_MONEY, RETURN, LOSS, HELD, row, CANCELED, RELEASED, AGREES),
            Case(LATE_MONEY, RETURN, LOSS, HELD, row, CANCELED, TAKEN, LATE),
        )
    ),
    Case(LATE_MONEY, RETURN, LOSS, TAKEN, VOIDED, CANCELED, BACK, BOOK),
    Case(LATE_MONEY, RETURN, LOSS, TAKEN, None, CANCELED, BACK, AGREES),
    # A refund that failed after it had succeeded.
    Case(REFUND_FAILED, RETURN, DONE, TAKEN, PAID_BACK, CANCELED, TAKEN, AGREES),
    Case(REFUND_FAILED, RETURN, DONE, TAKEN, PAID_BACK, CANCELED, BACK, TWICE),
    Case(REFUND_FAILED, RETURN, LOSS, TAKEN, PAID_BACK, CANCELED, TAKEN, AGREES),
    Case(REFUND_FAILED, RETURN, LOSS, TAKEN, PAID_BACK, CANCELED, BACK, AGREES),  # the books say so already
    # What was told twice, and is settled: it is not told again, and nothing is given back by itself.
    Case(SETTLED_TWICE, AT_STRIPE, DONE, BACK, PAID_BACK, CANCELED, BACK, AGREES),
    Case(SETTLED_TWICE, AT_STRIPE, DONE, BACK, PAID_BACK, CANCELED, TAKEN, AGREES),
    Case(SETTLED_TWICE, AT_STRIPE, LOSS, PART, PAID_BACK, CANCELED, BACK, AGREES),
    # Two books that disagree: the same difference stays settled, another one is told.
    Case("drift_payment", PAYMENTS, DONE, TAKEN, book("captured", 1500), DELIVERED, TAKEN, AGREES),
    Case("drift_payment", PAYMENTS, LOSS, TAKEN, book("captured", 1500), DELIVERED, TAKEN, AGREES),
    Case("drift_payment", PAYMENTS, LOSS, TAKEN, book("captured", 1500), DELIVERED, PART, BOOK),
    Case("drift_payment", PAYMENTS, LOSS, HELD, None, DELIVERED, TAKEN, REPORT),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{c.kind}-{c.decision}-{c.true.status}-{c.verdict}" for c in CASES])
def test_each_decision_against_each_true_outcome(case: Case) -> None:
    """Silent is only what was settled; what a person did and Stripe as well is always told."""
    assert case.decision in rule_of(case.kind, case.step).decisions
    settled = Settled(ticket_id=1, kind=case.kind, step=case.step, decision=case.decision, known=case.known.known)
    verdict, why = judge_payment(case.true, case.row, case.order, settled)
    assert verdict is case.verdict
    assert bool(why) is (verdict is not AGREES)


def test_every_decision_about_money_stands_in_the_table() -> None:
    """A new decision that says that money moved, or did not, is measured against what happened."""
    kinds = {(STEP_REFUSED, RETURN), (REFUSED_AFTER_SCAN, CAPTURE), (LATE_MONEY, RETURN), (REFUND_FAILED, RETURN)}
    kinds |= {(SETTLED_TWICE, AT_STRIPE), ("drift_payment", PAYMENTS)}
    wanted = {(*kind, d) for kind in kinds for d in rule_of(*kind).decisions if d is not RETRY}
    assert wanted == {(case.kind, case.step, case.decision) for case in CASES}
    assert RETURN in BY_STEP and CAPTURE not in BY_STEP


def test_no_kind_of_ticket_is_forgotten() -> None:
    """Those that are not in the table above settle no payment: parcels, acknowledgements, what Stripe itself ends."""
    of_money = {case.kind for case in CASES} - {"drift_payment", STEP_REFUSED}
    others = {
        "step_keeps_failing", STEP_REFUSED, "no_scan", "parcel_return_to_sender", "parcel_failure", "scan_after_void",
        "payment_dispute", "payment_review", "stuck_workflow_task", "drift", FOREIGN_REFUND, FOREIGN_CAPTURE,
        PAYMENT_REFUNDED, "void_pending", "void_rejected", "our_fault", "brake", "reconciliation_stopped",
        "event_parked", "webhook_disabled",
    }  # fmt: skip
    assert of_money | others == set(TABLE)


def test_a_retry_leaves_nothing_settled() -> None:
    """Without a decision the two books are compared as ever: the money goes back."""
    assert judge_payment(TAKEN, KEPT, CANCELED)[0] is GIVE_BACK
    assert judge_payment(TAKEN, PAID_BACK, CANCELED)[0] is GIVE_BACK


def test_what_was_known_is_the_amounts_and_the_status() -> None:
    assert BACK.known == Known(status="succeeded", received=2000, refunded=2000)
