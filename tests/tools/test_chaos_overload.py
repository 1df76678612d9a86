"""The verdict on an overload run, and the figures that it is made of; the run itself is `make overload`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chaos.auditor import audit, nothing_is_stored_of_what_was_refused
from chaos.offered_load import Answer, Phase, percentile
from chaos.overload_report import figures, p99_of, shortcomings
from tests.support.chaos_books import answer, clean_books

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def phase(name: str, *answers: Answer) -> dict[str, Any]:
    """The figures of ten seconds."""
    return figures(Phase(name, 10.0, BEGAN, BEGAN + timedelta(seconds=12), list(answers)))


def answers(confirmed: int, took: float, refused: int = 0) -> list[Answer]:
    good = [Answer(number * 0.01, took, 201) for number in range(confirmed)]
    return good + [Answer(0.0, 0.01, 503, "overloaded", "2")] * refused


def document(*overloads: list[Answer], **changed: Any) -> dict[str, Any]:
    """A run in which all was right unless told otherwise: 10 a second at full load, 9 under three times as many."""
    full = Phase("10 clients", 10.0, BEGAN, BEGAN + timedelta(seconds=12), answers(100, 1.0))
    unders = [
        Phase("overload", 10.0, BEGAN, BEGAN + timedelta(seconds=12), given)
        for given in overloads or [answers(90, 1.9, refused=210)]
    ]
    right = {
        "ramp": [],
        "rounds": [[figures(full), figures(under)] for under in unders],
        "fullLoadP99": p99_of([full]),
        "overloadP99": p99_of(unders),
        "bystanders": {"reads": 9, "readP99": 0.1, "cancels": 3, "cancelP99": 0.5, "unserved": {}},
        "violations": [],
        "unsettled": {},
        "attended": {},
    }
    return right | changed


def test_a_run_that_kept_its_promises_has_no_shortcoming() -> None:
    """Within twice the 99th percentile and 15 percent of the best phase."""
    assert shortcomings(document()) == []


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("p99", document(answers(90, 2.1, refused=210))),
    ("of the orders that full load confirms", document(answers(80, 1.0, refused=210))),
    ("nothing was refused", document(answers(90, 1.0))),
    ("nobody expects", document([*answers(90, 1.0, refused=9), Answer(0.0, 1.0, 0)])),
    ("nobody expects", document([*answers(90, 1.0, refused=9), Answer(0.0, 0.1, 500)])),
    ("is not", document([*answers(90, 1.0), Answer(0.0, 0.1, 503, "overloaded")])),
    ("is not", document([*answers(90, 1.0), Answer(0.0, 0.1, 503, "engine_away", "2")])),
    ("did not go on", document(bystanders={"readP99": 9.0, "cancelP99": 0.1, "unserved": {}})),
    ("did not go on", document(bystanders={"readP99": 0.1, "cancelP99": 0.1, "unserved": {"GET 503": 1}})),
    ("violations", document(violations=[{"rule": "no_order_is_lost"}])),
    ("orders are left", document(unsettled={"an order": "PLACED"})),
]


@pytest.mark.parametrize(("words", "wrong"), WRONG, ids=[words for words, _ in WRONG])
def test_finds_each_way_to_fall_short(words: str, wrong: dict[str, Any]) -> None:
    """One at a time, and named."""
    (found,) = shortcomings(wrong)
    assert words in found


def test_one_slow_round_of_three_is_the_machines() -> None:
    """The median counts; an answer that is wrong counts in any round."""
    slow, good = answers(50, 1.0, refused=210), answers(95, 1.0, refused=210)
    assert shortcomings(document(slow, good, good)) == []
    assert len(shortcomings(document(good, good, [*good, Answer(0.0, 0.1, 500)]))) == 1


def test_only_orders_confirmed_within_the_phase_count() -> None:
    """Nor refusals, nor orders that were only pending: a goodput of late answers would hide a queue."""
    late = Answer(9.5, 1.0, 201)
    assert phase("late", late, Answer(0.0, 0.1, 202), *answers(20, 0.5, refused=5))["confirmedPerSecond"] == 2.0


def test_the_percentile_is_the_nearest_rank() -> None:
    """https://en.wikipedia.org/wiki/Percentile#The_nearest-rank_method"""
    values = [float(number) for number in range(1, 201)]
    assert (percentile(values, 0.99), percentile(values, 0.5), percentile([], 0.5)) == (198.0, 100.0, 0.0)


def test_finds_an_order_that_was_stored_though_it_was_refused() -> None:
    """A refusal says that there is none."""
    books = clean_books()
    books.journal.append(answer("key-nobody", 503, None, "", "overloaded"))
    assert audit(books, [nothing_is_stored_of_what_was_refused]) == []
    books.journal.append(answer("key-ready", 503, None, "", "overloaded"))
    (found,) = audit(books, [nothing_is_stored_of_what_was_refused])
    assert found.subject == "key-ready"
