"""How far an import is, on standard error: a bar on a terminal, a line now and then elsewhere.

With `--json` there is only the bar: what is not a terminal gets nothing but the one document of a failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from commandline.output import console

EVERY = 5.0  # seconds between lines


class Stage(Protocol):
    def advance(self, by: int) -> None: ...


class ImportProgress:
    """Counts the stages of an import."""

    def __init__(self, out: Console | None = None, *, lines: bool = True) -> None:
        self._out = out or console(errors=True)
        self._silent = not lines and not self._out.is_terminal

    @contextmanager
    def stage(self, what: str, total: int) -> Iterator[Stage]:
        if total == 0 or self._silent:
            yield _Silent()
        elif self._out.is_terminal:
            with self._bars() as bars:
                yield _Bar(bars, what, total)
        else:
            lines = _Lines(self._out, what, total)
            yield lines
            lines.end()

    def say(self, line: str) -> None:
        if not self._silent:
            self._out.print(Text(line))

    def _bars(self) -> Bars:
        columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Bars(*columns, TimeRemainingColumn(), console=self._out)


class _Silent:
    def advance(self, by: int) -> None:
        pass


class _Bar:
    def __init__(self, bars: Bars, what: str, total: int) -> None:
        self._bars = bars
        self._task = bars.add_task(what, total=total)

    def advance(self, by: int) -> None:
        self._bars.advance(self._task, by)


class _Lines:
    def __init__(self, out: Console, what: str, total: int) -> None:
        self._out, self._what, self._total = out, what, total
        self._done = 0
        self._began = self._told = time.monotonic()

    def advance(self, by: int) -> None:
        self._done += by
        if time.monotonic() - self._told >= EVERY and self._done < self._total:
            self._tell()

    def end(self) -> None:
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._out.print(Text(f"{self._what}: {self._done} of {self._total}, {self._told - self._began:.1f} s"))
