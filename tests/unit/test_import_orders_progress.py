"""How an import tells how far it is: a bar on a terminal, plain lines elsewhere, nothing beside `--json`."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from commandline.imports.progress import ImportProgress


def told(*, terminal: bool, lines: bool = True) -> str:
    """What a stage of three invoices puts out."""
    out = Console(file=io.StringIO(), force_terminal=terminal, width=100, legacy_windows=False)
    progress = ImportProgress(out, lines=lines)
    progress.say("begins")
    with progress.stage("nothing to do", 0) as stage:
        stage.advance(0)
    with progress.stage("invoices", 3) as stage:
        for _ in range(3):
            stage.advance(1)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_draws_a_bar_on_a_terminal() -> None:
    """With its count, drawn in place."""
    drawn = told(terminal=True)
    assert "━" in drawn and "3/3" in drawn and "\x1b[" in drawn


def test_writes_plain_lines_where_there_is_no_terminal() -> None:
    """Without control characters, each line whole; a stage with nothing to do says nothing."""
    written = told(terminal=False).splitlines()
    assert (written[0], written[1].startswith("invoices: 3 of 3, "), len(written)) == ("begins", True, 2)


@pytest.mark.parametrize(("terminal", "silent"), [(True, False), (False, True)])
def test_leaves_standard_error_to_the_one_document_of_a_failure(terminal: bool, silent: bool) -> None:
    """`--json` into a file or a pipe: nothing but what a program reads; a person still sees the bar."""
    assert (told(terminal=terminal, lines=False) == "") is silent
