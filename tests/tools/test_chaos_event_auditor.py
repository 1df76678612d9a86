"""The auditor finds what is wrong with events: clean books, and each of them broken on purpose."""

from __future__ import annotations

import pytest

from chaos.auditor import audit
from chaos.event_auditor import EVENT_RULES, PARKED
from tests.support.broken_books import Break
from tests.support.broken_events import BROKEN, park, put, swapped
from tests.support.chaos_events import clean_events, message


def test_finds_nothing_in_clean_books() -> None:
    """Also with a repeat at the broker, and a partition that never had an event."""
    assert audit(clean_events(), EVENT_RULES) == []


@pytest.mark.parametrize(("rule", "spoil"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_finds_books_that_were_broken_on_purpose(rule: str, spoil: Break) -> None:
    """The rule that is there for it finds it."""
    books = clean_events()
    spoil(books)
    assert rule in {violation.rule for violation in audit(books, EVENT_RULES)}


def test_every_rule_is_broken_by_a_test() -> None:
    """A rule that never finds anything would prove nothing."""
    assert {rule.__name__ for rule in EVENT_RULES} == {rule for _, rule, _ in BROKEN}


def test_what_was_replayed_may_come_late() -> None:
    """The broker had it, in order, before it lost it; a newer event was there first when it came again."""
    books = clean_events()
    swapped(books)
    put("events", {"event_id": "declined-1"}, replay=1)(books)
    assert audit(books, EVENT_RULES) == []


def test_a_refused_event_with_a_ticket_is_attended() -> None:
    """It is not published; that it is nowhere else follows from it, and is found all the same."""
    books = clean_events()
    park(books)
    about = {"order_id": None, "kind": PARKED, "step": "publish_event", "detail": ""}
    books.tickets.append({**about, "subject": "ready-3"})
    assert "every_event_is_published" not in {violation.rule for violation in audit(books, EVENT_RULES)}


def test_a_position_is_compared_with_the_last_event_of_its_partition() -> None:
    """One more message, of the same event: a consumer that has not read it is behind."""
    books = clean_events()
    books.stream.append(message(books, "lamp-3"))
    subjects = {violation.subject for violation in audit(books, EVENT_RULES)}
    assert subjects == {"event_archive/3", "notifications/3", "stock_hints/3"}


def test_what_is_noted_after_the_end_need_not_be_heard() -> None:
    """A refund of a rejected order's payment, say: the stream has closed with the order."""
    books = clean_events()
    later = {"order_id": "declined", "sequence": 4, "from_status": "REJECTED", "to_status": "REJECTED"}
    books.timeline.append({**later, "at": books.read_at})
    assert audit(books, EVENT_RULES) == []
