"""How commands speak: tables for people or one JSON document on standard output, failures on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from commandline.failures import Failure

WIDE = 200  # columns where there is no terminal, so that no line is broken

COLORS = {
    "DELIVERED": "green", "SHIPPED": "green", "READY_TO_SHIP": "green", "CONFIRMED": "green",
    "CANCELED": "yellow", "CANCELING": "yellow", "REJECTED": "red",
    "ok": "green", "warn": "yellow", "fail": "red",
}  # fmt: skip


def console(*, errors: bool = False) -> Console:
    """Standard output or standard error, whether a terminal or not."""
    found = Console(stderr=errors, highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(stderr=errors, highlight=False, width=WIDE, force_terminal=False)


class Printer:
    """The output of one command. `as_json` prints the document; people get what `render` makes of it."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, document: Any, render: Callable[[], Iterable[RenderableType]]) -> None:
        if self.as_json:
            write_json(document)
            return
        out = console()
        for part in render():
            out.print(part)

    def say(self, line: Text | str) -> None:
        """A line for people that goes along with the work; `--json` leaves it out."""
        if not self.as_json:
            console().print(line)


def write_json(document: Any, *, errors: bool = False) -> None:
    stream = sys.stderr if errors else sys.stdout
    stream.write(json.dumps(document, indent=2, default=str) + "\n")
    stream.flush()


def tell_failure(failure: Failure, as_json: bool) -> None:
    if as_json:
        write_json(failure.document, errors=True)
        return
    out = console(errors=True)
    out.print(Text.assemble(("Error: ", "bold red"), failure.detail, (f"  [{failure.code}]", "dim")))
    for error in failure.errors:
        out.print(Text(f"  {error.get('field', '')}: {error.get('message', '')}"))
    if failure.members.get("orderId"):
        out.print(Text(f"  order {failure.members['orderId']} is {failure.members.get('orderStatus', 'there')}"))
    if failure.mend:
        out.print(Text(f"  {failure.mend}", style="cyan"))


def table(*headings: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """An empty table: columns in `right` hold numbers, those in `whole` ids to be copied, which are never broken."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        align = "right" if heading in right else "left"
        made.add_column(heading, justify=align, overflow="fold", no_wrap=heading in whole)  # type: ignore[arg-type]
    return made


def facts(rows: Mapping[str, Any]) -> Table:
    """Names and values, those without a value left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows.items():
        if value not in (None, ""):
            made.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    return made


def state(word: str) -> Text:
    return Text(word, style=COLORS.get(word, "cyan"))


def time_of(moment: str) -> str:
    """A time of the API in the reader's time zone."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
