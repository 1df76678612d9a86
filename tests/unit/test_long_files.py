"""The order in which the files of the suite begin."""

from __future__ import annotations

from pathlib import Path

from tests.support.long_files import LONGEST_FIRST, TESTS, longest_first


def test_every_file_that_is_to_begin_early_is_there() -> None:
    """A file that was moved or renamed would begin late without a word."""
    assert [name for name in LONGEST_FIRST if not (TESTS / name).is_file()] == []
    assert len(set(LONGEST_FIRST)) == len(LONGEST_FIRST)


def test_long_files_begin_first_and_the_others_keep_their_order() -> None:
    paths = [Path("b.py"), TESTS / LONGEST_FIRST[1], Path("a.py"), TESTS / LONGEST_FIRST[0]]
    assert longest_first(paths) == [3, 1, 0, 2]
