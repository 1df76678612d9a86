"""Tells how a run gets on: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.figures import Measurement, percentile


class Teller:
    """Runs inside `with`."""

    def __init__(self, out: Console, steps: int) -> None:
        self._out = out
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
        self._task = self._bar.add_task("starting", total=steps)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def doing(self, what: str) -> None:
        self._bar.update(self._task, description=what)
        if not self._out.is_terminal and what.startswith("warm-up"):
            self._out.print(f"  {what}")

    def done(self, measured: Sequence[Measurement]) -> None:
        self._bar.advance(self._task)
        for one in measured:
            p50, p99 = (1000 * percentile(one.latencies, percent) for percent in (50, 99))
            self._out.print(
                f"  round {one.round}  {one.at_once:>3} at once  {one.contender:<24}"
                f"{one.rate:7.1f} orders/s   p50 {p50:6.0f} ms   p99 {p99:6.0f} ms",
                highlight=False,
                soft_wrap=True,
            )
