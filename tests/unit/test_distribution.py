"""How the suite's tests are given to its workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.distribution import SHARING, Distribution, check_sharing
from tests.support.long_files import TESTS


def _scope(nodeid: str) -> str:
    scope: str = Distribution._split_scope(object.__new__(Distribution), nodeid)
    return scope


def test_files_that_share_processes_go_to_one_worker() -> None:
    """The other files are dealt out one by one."""
    for fixture, files in SHARING.items():
        assert {_scope(f"{file}::test_it[a/b]") for file in files} == {fixture}
        assert [file for file in files if not (TESTS.parent / file).is_file()] == []
    assert _scope("tests/unit/test_money.py::test_it") == "tests/unit/test_money.py"


@pytest.mark.parametrize("fixture", SHARING)
def test_a_new_file_with_such_processes_is_not_forgotten(fixture: str) -> None:
    """It would start them a second time without a word."""

    def item(file: str) -> pytest.Item:
        return cast(pytest.Item, SimpleNamespace(nodeid=f"{file}::test_it", fixturenames=["shop", fixture]))

    check_sharing([item(file) for file in SHARING[fixture]])
    with pytest.raises(pytest.UsageError, match="test_new"):
        check_sharing([item("tests/integration/test_new.py")])
