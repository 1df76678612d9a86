"""The table of what people can do about a ticket."""

from __future__ import annotations

import pytest

from domain.repairs import (
    BY_STEP,
    NO_SCAN,
    REFUND_FAILED,
    REFUSED_AFTER_SCAN,
    STEP_KEEPS_FAILING,
    STEP_REFUSED,
    TABLE,
    Owner,
    RepairDecision,
    rule_of,
)
from services.repairs.effects import EFFECTS

RETRY, DONE, LOSS = RepairDecision


@pytest.mark.parametrize("kind", list(TABLE))
def test_every_kind_of_ticket_can_be_settled_somehow(kind: str) -> None:
    """Each has a title, and each decision that is possible says what it means."""
    rule = rule_of(kind, "return_payment")
    assert rule.title and rule.decisions
    assert all(rule.decisions.values())


@pytest.mark.parametrize("kind", [STEP_KEEPS_FAILING, STEP_REFUSED])
@pytest.mark.parametrize("step", ["reserve_inventory", "ship_order", "capture_payment", "record_shipped"])
def test_a_step_whose_outcome_is_unknown_is_only_tried_again(kind: str, step: str) -> None:
    """Nobody can say that it was done, or that it never will be, while it is still tried."""
    assert list(rule_of(kind, step).decisions) == [RETRY]


@pytest.mark.parametrize("step", list(BY_STEP))
def test_every_settled_undo_has_an_effect_in_the_books(step: str) -> None:
    """Else it would be run again, and fail again."""
    assert set(rule_of(STEP_REFUSED, step).decisions) == {RETRY, DONE, LOSS}
    assert (step, DONE) in EFFECTS and (step, LOSS) in EFFECTS


@pytest.mark.parametrize(
    ("kind", "same_as"),
    [
        ("our_mistake", STEP_REFUSED),
        ("charge_disputed", STEP_REFUSED),
        ("authorization_gone_after_scan", REFUSED_AFTER_SCAN),
        ("drift_stock", "drift"),
        ("drift_payment", "drift"),
    ],
)
def test_a_kind_that_is_not_in_the_table_has_the_rule_of_its_family(kind: str, same_as: str) -> None:
    """Tickets of older versions name the code with which a step refused."""
    assert rule_of(kind, "return_payment") == rule_of(same_as, "return_payment")


def test_a_parcel_that_was_never_scanned_is_not_written_off() -> None:
    """Its stock is still reserved and its label live: who gives it up cancels the order, and the carrier decides."""
    assert set(rule_of(NO_SCAN, "follow_parcel").decisions) == {RETRY, DONE}


def test_a_goodwill_refund_that_failed_is_not_retried_by_a_recovery() -> None:
    """The order has nothing to recover: another refund is asked for."""
    assert set(rule_of(REFUND_FAILED, "refund-k1").decisions) == {DONE, LOSS}
    assert RETRY in rule_of(REFUND_FAILED, "return_payment").decisions
    assert rule_of(REFUND_FAILED, "return_payment").owner is Owner.DESK
