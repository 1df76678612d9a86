"""The auditor finds what is wrong: clean books, and each of them broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from chaos.auditor import audit
from chaos.books import Books
from chaos.money_auditor import RULES
from tests.chaos_books import add, answer, cancel, clean_books, entry, event

Break = Callable[[Books], Any]


def _ticket(order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "kind": "step_keeps_failing", "step": "capture_payment", "detail": ""}


def _row(rows: list[Any], **wanted: str) -> Any:
    return next(row for row in rows if wanted.items() <= row.items())


def _change(table: str, order_id: str, **values: Any) -> Break:
    """Another value in an order's first row of a table."""
    return lambda books: _row(getattr(books, table), order_id=order_id).update(values)


def _stock(**values: int) -> Break:
    return lambda books: books.stock[0].update(values)  # type: ignore[attr-defined]


def _more(table: str, *rows: dict[str, Any]) -> Break:
    return lambda books: getattr(books, table).extend(rows)


def _without(table: str, **wanted: Any) -> Break:
    return lambda books: getattr(books, table).remove(_row(getattr(books, table), **wanted))


def _stuck(books: Books) -> None:
    """An order that never got beyond its reservation."""
    add(books, "stuck")
    books.stock[0]["reserved"] += 2  # type: ignore[index]


SECOND_HOLD = (
    entry("voided", "authorize"),
    entry("voided", "authorize", payment="pi_other"),
    entry("voided", "void"),
    entry("voided", "void", payment="pi_other"),
)

BROKEN: list[tuple[str, str, Break]] = [
    ("an answered order is gone", "no_order_is_lost", _more("journal", answer("k", 202, "gone", "PLACED"))),
    ("a refused order is gone", "no_order_is_lost", _more("journal", answer("k", 402, "gone", "REJECTED"))),
    ("a 201 names no order", "no_order_is_lost", _more("journal", answer("k", 201, None, "CONFIRMED"))),
    (
        "two orders have one key",
        "no_order_is_doubled",
        _change("orders", "ready", idempotency_key="key-shipped"),
    ),
    ("nobody asked for an order", "no_order_is_doubled", _without("journal", kind="sent", key="key-ready")),
    (
        "a repeat was told another order",
        "no_order_is_doubled",
        _more("journal", answer("key-ready", 201, "shipped", "CONFIRMED")),
    ),
    (
        "a confirmed order was rejected",
        "no_answer_is_broken",
        _more("journal", answer("key-declined", 201, "declined", "CONFIRMED")),
    ),
    (
        "a refused order was carried on",
        "no_answer_is_broken",
        _more("journal", answer("key-ready", 402, "ready", "REJECTED")),
    ),
    (
        "an accepted cancel was forgotten",
        "no_decision_on_a_cancel_is_broken",
        _more("journal", cancel("delivered", 202, "accepted")),
    ),
    (
        "a refused cancel was done",
        "no_decision_on_a_cancel_is_broken",
        _more("journal", cancel("voided", 409, None, "already_shipped")),
    ),
    ("more is reserved than there is", "nothing_is_oversold", _stock(on_hand=1)),
    ("less than nothing is reserved", "nothing_is_oversold", _stock(reserved=-1)),
    ("a piece is missing", "stock_is_what_was_there_less_what_left", _stock(on_hand=95)),
    ("a piece came from nowhere", "stock_is_what_was_there_less_what_left", _stock(on_hand=97)),
    ("a piece stays reserved", "what_is_reserved_is_held_by_orders", _stock(reserved=3)),
    (
        "a canceled order still holds",
        "reservations_follow_their_orders",
        _change("reservations", "voided", state="held"),
    ),
    (
        "what was delivered is still reserved",
        "reservations_follow_their_orders",
        _change("reservations", "delivered", state="held"),
    ),
    (
        "what goes out is not reserved",
        "reservations_follow_their_orders",
        _change("reservations", "ready", state="released"),
    ),
    (
        "a dropped line is still held",
        "reservations_follow_their_orders",
        _change("order_lines", "ready", dropped=True),
    ),
    (
        "one piece of two is reserved",
        "reservations_follow_their_orders",
        _change("reservations", "ready", quantity=1),
    ),
    (
        "a canceled order has a label",
        "labels_follow_their_orders",
        _more("labels", {"reference": "voided", "kind": "label_bought"}),
    ),
    (
        "a label was bought twice and one voided later",
        "labels_follow_their_orders",
        _more(
            "labels", {"reference": "ready", "kind": "label_bought"}, {"reference": "ready", "kind": "label_voided"}
        ),
    ),
    ("what goes out has no label", "labels_follow_their_orders", _without("labels", reference="ready")),
    (
        "a label of no order",
        "labels_follow_their_orders",
        _more("labels", {"reference": "nobody", "kind": "label_bought"}),
    ),
    (
        "nothing was ever scanned",
        "parcels_are_where_the_carrier_says",
        _without("labels", reference="shipped", kind="scanned"),
    ),
    (
        "nothing was ever delivered",
        "parcels_are_where_the_carrier_says",
        _without("labels", reference="delivered", kind="delivered"),
    ),
    (
        "a canceled order's parcel is on its way",
        "parcels_are_where_the_carrier_says",
        _more("labels", {"reference": "refunded", "kind": "scanned"}),
    ),
    ("a row is missing", "timelines_have_no_gaps", _without("timeline", order_id="ready", sequence=2)),
    (
        "a row begins elsewhere",
        "timelines_have_no_gaps",
        lambda books: _row(books.timeline, order_id="ready", to_status="CONFIRMED").update(from_status="PLACED"),
    ),
    ("the last row is another state", "timelines_have_no_gaps", _change("orders", "ready", status="SHIPPED")),
    ("an event is missing", "outbox_has_no_gaps", _without("outbox", subject="ready")),
    ("a stock event is missing", "outbox_has_no_gaps", _without("outbox", subject="lamp", sequence=1)),
    ("an event is double", "outbox_has_no_gaps", _more("outbox", event("/orders", "ready", 1))),
    ("an event of nothing", "outbox_has_no_gaps", _more("outbox", event("/orders", "nobody", 1))),
    ("an order is stuck", "every_order_has_settled", _stuck),
    (
        "a scan was missed",
        "every_order_has_settled",
        _more("labels", {"reference": "ready", "kind": "scanned"}),
    ),
    (
        "a delivery was missed",
        "every_order_has_settled",
        _more("labels", {"reference": "shipped", "kind": "delivered"}),
    ),
    (
        "a webhook was left",
        "every_webhook_is_followed_up",
        _more("inbox", {"event_id": "evt", "source": "stripe", "type": "t", "last_error": "E"}),
    ),
    ("captured more than held", "ledger_is_possible", _more("money", entry("ready", "capture", 1))),
    ("captured what was voided", "ledger_is_possible", _more("money", entry("voided", "capture"))),
    ("gave back too much", "ledger_is_possible", _more("money", entry("refunded", "refund", 1))),
    ("two holds at one time", "no_second_live_authorization", _more("money", *SECOND_HOLD)),
    (
        "held anew though it was taken",
        "no_second_live_authorization",
        _more("money", entry("ready", "authorize", payment="pi_2"), entry("ready", "void", payment="pi_2")),
    ),
    ("money of nobody", "money_is_of_orders", _more("money", entry("nobody", "authorize"))),
    (
        "a canceled order was charged",
        "kept_is_the_value_of_what_goes_out",
        _without("money", order_id="refunded", kind="refund"),
    ),
    (
        "a rejected order was charged",
        "kept_is_the_value_of_what_goes_out",
        _more("money", entry("declined", "authorize"), entry("declined", "capture")),
    ),
    (
        "what goes out was not paid",
        "kept_is_the_value_of_what_goes_out",
        _without("money", order_id="ready", kind="capture"),
    ),
    (
        "a dropped line was charged",
        "kept_is_the_value_of_what_goes_out",
        _change("order_lines", "ready", dropped=True),
    ),
    (
        "a refund of an operator never reached Stripe",
        "kept_is_the_value_of_what_goes_out",
        _more("refunds", {"order_id": "ready", "amount_minor": 100, "state": "succeeded"}),
    ),
    ("a total is wrong", "totals_are_sums_of_lines", _change("orders", "ready", total_minor=1001)),
    (
        "a canceled order's money is still held",
        "no_live_authorization_of_what_is_over",
        _without("money", order_id="voided", kind="void"),
    ),
    (
        "our book has a penny less",
        "payments_equal_the_ledger",
        _change("payments", "ready", captured_minor=999),
    ),
    (
        "our book does not know of a refund",
        "payments_equal_the_ledger",
        _change("payments", "refunded", refunded_minor=0),
    ),
    (
        "our book holds what is voided",
        "payments_equal_the_ledger",
        _change("payments", "voided", state="authorized"),
    ),
    (
        "our book lacks a payment",
        "payments_equal_the_ledger",
        _without("payments", order_id="ready"),
    ),
]


def test_finds_nothing_in_cleanclean_books() -> None:
    """An order of each outcome, and every book in step."""
    assert audit(clean_books(), RULES) == []


@pytest.mark.parametrize(("rule", "spoil"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_finds_books_that_were_broken_on_purpose(rule: str, spoil: Break) -> None:
    """The rule that is there for it finds it."""
    books = clean_books()
    spoil(books)
    assert rule in {violation.rule for violation in audit(books, RULES)}


def test_every_rule_is_broken_by_a_test() -> None:
    """A rule that never finds anything would prove nothing."""
    assert {rule.__name__ for rule in RULES} == {rule for _, rule, _ in BROKEN}


def test_an_order_with_an_open_ticket_is_attended() -> None:
    """A person has been called: it is not left, but it counts as unsettled in the report."""
    books = clean_books()
    _stuck(books)
    books.tickets.append(_ticket("stuck"))
    assert audit(books, RULES) == []


def test_a_ticket_excuses_no_money() -> None:
    """A canceled order that was charged is wrong, attended or not."""
    books = clean_books()
    _without("money", order_id="refunded", kind="refund")(books)
    books.tickets.append(_ticket("refunded"))
    assert "kept_is_the_value_of_what_goes_out" in {violation.rule for violation in audit(books, RULES)}


def test_a_refund_of_an_operator_is_no_difference() -> None:
    """What was given back of an order that stays, in both books."""
    books = deepcopy(clean_books())
    books.refunds.append({"order_id": "ready", "amount_minor": 100, "state": "succeeded"})
    books.money.append(entry("ready", "refund", 100))
    _change("payments", "ready", refunded_minor=100)(books)
    assert audit(books, RULES) == []
