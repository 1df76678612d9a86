"""The journal of an import: what is done survives a kill, and nothing else gets into it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commandline.failures import USAGE, Failure, Misused
from commandline.imports.journal import Journal

FILE = "0" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_remembers_what_was_noted(path: Path) -> None:
    """Each kind of entry, after the journal was closed and opened again."""
    with Journal(path, FILE) as journal:
        journal.note("stocked", product="A-1.00", pieces=5)
        journal.note("customer", customer="7")
        journal.note("placed", invoice="1", order="abc")
        journal.note("refused", invoice="2", reason="no such product")
        journal.note("cancel", invoice="C3", refusal="")
        journal.note("settled", invoice="1", status="CANCELED", total="5.00")
        held = journal.facts.hold_until
    with Journal(path, FILE) as journal:
        facts = journal.facts
    assert (facts.stocked, facts.customers, facts.placed) == ({"A-1.00": 5}, {"7"}, {"1": "abc"})
    assert (facts.refused, facts.canceled) == ({"2": "no such product"}, {"C3": ""})
    assert (facts.settled["1"]["status"], facts.hold_until) == ("CANCELED", held)


def test_drops_a_line_that_a_kill_tore(path: Path) -> None:
    """What was half written did not happen, and the next entry is not glued to it."""
    with Journal(path, FILE) as journal:
        journal.note("placed", invoice="1", order="abc")
    with path.open("ab") as file:
        file.write(b'{"what": "placed", "invoice": "2", "ord')
    with Journal(path, FILE) as journal:
        journal.note("placed", invoice="3", order="def")
        assert journal.facts.placed == {"1": "abc", "3": "def"}
    assert [json.loads(line)["what"] for line in path.read_text().splitlines()] == ["import", "placed", "placed"]


def test_refuses_the_journal_of_another_file(path: Path) -> None:
    """Its invoices have other orders."""
    with Journal(path, FILE):
        pass
    with pytest.raises(Misused, match="another file"), Journal(path, "1" * 64):
        pass


@pytest.mark.parametrize("content", ["hello\n", "[]\n", '{"what": "placed"}\n', "\xff\n", "no line end"])
def test_refuses_and_keeps_a_file_that_is_no_journal(path: Path, content: str) -> None:
    """`--journal orders.csv` must not eat the file."""
    path.write_text(content)
    with pytest.raises(Misused) as caught, Journal(path, FILE):
        pass
    assert (caught.value.exit_code, path.read_text()) == (USAGE, content)


def test_lets_one_import_work_with_it(path: Path) -> None:
    """Two would write each other's lines twice."""
    with Journal(path, FILE), pytest.raises(Failure) as caught, Journal(path, FILE):
        pass
    assert caught.value.code == "import_running"


def test_holds_orders_for_a_day_and_renews_what_is_over(path: Path) -> None:
    """The time is decided once, so that a repeated request has the same body, but never lies in the past."""
    with Journal(path, FILE) as journal:
        until = datetime.fromisoformat(journal.facts.hold_until or "")
    assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(days=1)
    over = {"what": "import", "file": FILE, "version": 1, "holdUntil": "2020-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(over) + "\n")
    with Journal(path, FILE) as journal:
        assert datetime.fromisoformat(journal.facts.hold_until or "") > datetime.now(UTC)


def test_begins_anew_and_keeps_the_old_one_aside(path: Path) -> None:
    """As often as it has to."""
    with Journal(path, FILE) as journal:
        for order in ("abc", "def"):
            journal.note("placed", invoice="1", order=order)
            aside = journal.begin_anew()
            assert order in aside.read_text()
            assert journal.facts.placed == {}
            assert journal.facts.hold_until is not None
    assert len(path.read_text().splitlines()) == 1


def test_refuses_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    """A wrong call, not a traceback."""
    with pytest.raises(Misused, match="--journal"), Journal(tmp_path, FILE):
        pass
