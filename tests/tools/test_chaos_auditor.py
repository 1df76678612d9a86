"""The auditor finds what is wrong: clean books, and each of them broken on purpose."""

from __future__ import annotations

from copy import deepcopy

import pytest

from chaos.auditor import audit, undecided, unfinished, unsettled
from chaos.money_auditor import RULES
from tests.support import broken_books, broken_money
from tests.support.broken_books import Break, asked, cause, change, stuck, ticket, waits, without
from tests.support.broken_money import refunded_by_hand
from tests.support.chaos_books import clean_books, entry

BROKEN = [*broken_books.BROKEN, *broken_money.BROKEN]


def test_finds_nothing_in_clean_books() -> None:
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
    stuck(books)
    books.tickets.append(ticket("stuck"))
    assert audit(books, RULES) == []


def test_a_customer_who_may_still_come_back_is_no_violation() -> None:
    """It is neither left nor unsettled; a run waits for it all the same."""
    books = clean_books()
    asked(books, waited=25)
    assert audit(books, RULES) == []
    assert unsettled(books) == set()
    assert undecided(books) == {"asked"}


def test_one_ticket_of_a_cause_stands_for_all_that_wait_for_it() -> None:
    """Each of them is attended, and a run waits until they go on."""
    books = clean_books()
    waits(books, "carrier.buy 402")
    books.tickets.append(cause("carrier.buy 402"))
    assert audit(books, RULES) == []
    assert "stuck" in unsettled(books) & unfinished(books)


def test_a_hand_at_the_dashboard_is_told_by_a_ticket() -> None:
    """Booked, and a person knows: the rest is theirs."""
    books = clean_books()
    refunded_by_hand(books)
    books.tickets.append(ticket("shipped"))
    assert audit(books, RULES) == []


def test_a_ticket_excuses_no_money() -> None:
    """A canceled order that was charged is wrong, attended or not."""
    books = clean_books()
    without("money", order_id="refunded", kind="refund")(books)
    books.tickets.append(ticket("refunded"))
    assert "kept_is_the_value_of_what_goes_out" in {violation.rule for violation in audit(books, RULES)}


def test_a_refund_of_an_operator_is_no_difference() -> None:
    """What was given back of an order that stays, in both books."""
    books = deepcopy(clean_books())
    books.refunds.append({"order_id": "ready", "amount_minor": 100, "state": "succeeded"})
    books.money.append(entry("ready", "refund", 100))
    change("payments", "ready", refunded_minor=100)(books)
    assert audit(books, RULES) == []
