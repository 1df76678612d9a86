"""The cancel table, row by row."""

from __future__ import annotations

import pytest

from domain.cancellation import LABEL_VOIDED, TABLE, Decision, decide, markdown_table
from domain.order_states import OrderStatus, allows


@pytest.mark.parametrize(
    ("status", "decision", "code"),
    [
        (OrderStatus.PLACED, Decision.ACCEPTED, "cancel_accepted"),
        (OrderStatus.RESERVED, Decision.ACCEPTED, "cancel_accepted"),
        (OrderStatus.AWAITING_CUSTOMER, Decision.ACCEPTED, "cancel_accepted"),
        (OrderStatus.CONFIRMED, Decision.ACCEPTED, "cancel_accepted"),
        (OrderStatus.READY_TO_SHIP, Decision.CARRIER_DECIDES, "carrier_decides"),
        (OrderStatus.SHIPPED, Decision.REFUSED, "already_shipped"),
        (OrderStatus.DELIVERED, Decision.REFUSED, "already_delivered"),
        (OrderStatus.CANCELING, Decision.JOINED, "already_canceling"),
        (OrderStatus.CANCELED, Decision.JOINED, "already_canceled"),
        (OrderStatus.REJECTED, Decision.REFUSED, "already_rejected"),
    ],
)
def test_decides_by_the_state_of_the_order(status: OrderStatus, decision: Decision, code: str) -> None:
    """Each row of the design's table."""
    rule = decide(status)
    assert (rule.decision, rule.code) == (decision, code)


def test_every_state_has_its_row() -> None:
    """No order is in a state that the table does not know."""
    assert set(TABLE) == set(OrderStatus)


@pytest.mark.parametrize("status", list(OrderStatus))
def test_the_carrier_decides_as_soon_as_there_may_be_a_label(status: OrderStatus) -> None:
    """Only a CONFIRMED order is decided otherwise then: a parcel may be scanned while its payment is captured."""
    rule = decide(status, label_may_exist=True)
    if status is OrderStatus.CONFIRMED:
        assert rule is TABLE[OrderStatus.READY_TO_SHIP]
    else:
        assert rule is TABLE[status]


@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_cancel_is_granted_only_where_the_order_may_turn_back(status: OrderStatus) -> None:
    """The table and the transitions agree: granted means that CANCELING may follow."""
    may_be_granted = decide(status).decision in (Decision.ACCEPTED, Decision.CARRIER_DECIDES)
    assert may_be_granted == (status is not OrderStatus.CANCELING and allows(status, OrderStatus.CANCELING))


def test_a_voided_label_makes_the_cancel_an_accepted_one() -> None:
    """What CARRIER_DECIDES becomes when the carrier took the label back."""
    assert LABEL_VOIDED.decision is Decision.ACCEPTED


def test_the_readmes_table_has_a_row_for_every_state() -> None:
    """Markdown with three columns: the state, the decision with its code, what happens then."""
    head, line, *rows = markdown_table().splitlines()
    assert head == "| the order is | a cancel is | and then |"
    assert line == "|---|---|---|"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == [status.value for status in TABLE]
    assert [row[1:] for row in cells] == [[f"{rule.decision} (`{rule.code}`)", rule.then] for rule in TABLE.values()]
