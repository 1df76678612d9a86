"""When a run counts as settled, and when as failed."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.auditor import unfinished
from chaos.books import Books
from chaos.run import failed
from chaos.settling import settled
from tests.support.chaos_books import add, clean_books


class _Looks:
    """Shows one state of the books after the other, the last one again and again."""

    def __init__(self, *books: Books | OSError) -> None:
        self._books = list(books)
        self.count = 0

    async def __call__(self) -> Books:
        self.count += 1
        shown = self._books.pop(0) if len(self._books) > 1 else self._books[0]
        if isinstance(shown, OSError):
            raise shown
        return shown


def _with_stuck_order() -> Books:
    books = clean_books()
    add(books, "stuck")
    return books


async def test_settled_means_that_a_second_look_finds_nothing_new() -> None:
    """The first look sees an order under way, the second its end, the third the same."""
    looks = _Looks(_with_stuck_order(), clean_books())
    books, _ = await settled(looks, 60, every=0.0)
    assert "stuck" not in books.statuses
    assert looks.count == 3


async def test_gives_up_when_patience_is_over() -> None:
    """The books are shown as they are: the auditor tells what is left."""
    books, _ = await settled(_Looks(_with_stuck_order()), 0.0)
    assert books.statuses["stuck"] == "RESERVED"


async def test_looks_again_when_the_database_was_just_killed() -> None:
    """A lost connection is no answer."""
    looks = _Looks(ConnectionResetError(), clean_books())
    await settled(looks, 60, every=0.0)
    assert looks.count == 3


async def test_waits_for_the_carrier_where_that_is_asked() -> None:
    """An order that is ready to ship has settled, and has not ended."""
    _, waited = await settled(_Looks(clean_books()), 0.0, left=unfinished)
    assert waited > 0
    assert unfinished(clean_books()) == {"ready", "shipped"}


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"violations": [], "unsettled": {}, "attended": {}}, False),
        ({"violations": [], "unsettled": {"a": "CONFIRMED"}, "attended": {"a": "capture_payment: x"}}, False),
        ({"violations": [], "unsettled": {"a": "CONFIRMED"}, "attended": {"b": "capture_payment: x"}}, True),
        ({"violations": [{"rule": "r"}], "unsettled": {}, "attended": {}}, True),
    ],
)
def test_a_run_fails_for_violations_and_for_orders_that_nobody_looks_after(
    document: dict[str, Any], wrong: bool
) -> None:
    """An attended order is counted, and excused."""
    assert failed(document) is wrong
