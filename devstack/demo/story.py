"""Shows an order's story step by step: a live view in a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

WIDE = 200  # columns where there is no terminal, so that no line is broken
COLORS = {"DELIVERED": "green", "CONFIRMED": "green", "CANCELED": "yellow", "CANCELING": "yellow", "REJECTED": "red"}

Entry = Mapping[str, Any]


def console() -> Console:
    """The terminal, or whatever stands in its place."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDE, force_terminal=False)


class Story:
    """One order being told; used as a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self.title = title
        self._lines: list[Text] = []
        self._spinner = Spinner("dots", "")
        self._live = Live(console=console, refresh_per_second=12) if console.is_terminal else None

    def __enter__(self) -> "Story":
        heading = Text(f"\n{self.title}", style="bold")
        self._console.print(heading)
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.update(Group(*self._lines), refresh=True)
            self._live.stop()

    def waiting(self, what: str) -> None:
        """What is being waited for; only a live view shows it."""
        if self._live:
            self._spinner.update(text=Text(what, style="dim"))
            self._show()

    def say(self, step: str, what: str, at: datetime | None = None, style: str = "cyan") -> None:
        """A line of the story: when, the order's state or who acts, and what happened."""
        time = (at or datetime.now()).strftime("%H:%M:%S.%f")[:-3]
        line = Text.assemble((f"  {time}  ", "dim"), (f"{step:<18}", style), what)
        self._lines.append(line)
        if self._live:
            self._show()
        else:
            # Each line stands alone in a log, so it carries the order's name.
            self._console.print(Text.assemble(f"  {time}  {self.title:<22}", f"{step:<18}", what))

    def step(self, entry: Entry) -> None:
        """A line from the order's own timeline."""
        at = datetime.fromisoformat(entry["at"]).astimezone()
        by = f"  (by {entry['by']})" if entry.get("by") else ""
        state = str(entry["to"])
        self.say(state, f"{entry['what']}{by}", at, COLORS.get(state, "cyan"))

    def _show(self) -> None:
        if self._live:
            self._live.update(Group(*self._lines, self._spinner))


def summary(rows: list[tuple[str, str, str, str, str]]) -> Table:
    """The table at the end: order, outcome, stock, money, link."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("Order", "Outcome", "Stock", "Money", "Temporal Web UI"):
        table.add_column(heading, overflow="fold")
    for order, outcome, stock, money, link in rows:
        table.add_row(
            order, Text(outcome, style=COLORS.get(outcome, "")), stock, money, Text(link, style=f"link {link}")
        )
    return table
