"""`ordersaga events`: replay, parked, unpark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, table, time_of


def replay(api: Api, out: Printer, wanted: Mapping[str, str | None]) -> None:
    given = {name: value for name, value in wanted.items() if value is not None}
    answer = api.post("/api/events/replays", given).document
    out.show(answer, lambda: iter([Text(f"{answer['events']} events are published again.", "green")]))


def list_parked(api: Api, out: Printer) -> None:
    page = api.get("/api/events/parked")
    out.show(page, lambda: _parked(page["events"]))


def unpark(api: Api, out: Printer, event_id: str) -> None:
    answer = api.post(f"/api/events/parked/{quote(event_id, safe='')}/unpark", None).document
    out.show(answer, lambda: iter([Text(f"{answer['events']} events are tried again.", "green")]))


def _parked(events: list[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not events:
        yield Text("None: the broker has refused no event.", "green")
        return
    headings = ("Event", "Type", "Subject", "No.", "Parked", "Because", "Behind")
    rows = table(*headings, right=("No.", "Behind"), whole=("Event",))
    for one in events:
        about = (one["eventId"], one["type"], one["subject"], str(one["sequence"]))
        rows.add_row(*about, time_of(one["parkedAt"]), Text(one["because"]), str(one["behind"]))
    yield rows
    yield Text("Mend what it says, then: ordersaga events unpark EVENT", style="cyan")
