"""`ordersaga brake`: show, release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, facts, time_of


def show_brake(api: Api, out: Printer) -> None:
    state = api.get("/api/brake")
    out.show(state, lambda: _shown(state))


def release_brake(api: Api, out: Printer, wanted: Mapping[str, str]) -> None:
    state = api.post("/api/brake/release", wanted).document
    out.show(state, lambda: _shown(state))


def _shown(state: Mapping[str, Any]) -> Iterator[RenderableType]:
    if state["on"]:
        yield Text("On: no order is turned back by a fault of ours.", "bold red")
    else:
        yield Text("Off.", "green")
    times = {name: state.get(name) and time_of(state[name]) for name in ("pulledAt", "releasedAt")}
    yield facts(
        {
            "Held": state["held"] if state["on"] else None,
            "Why": state.get("why"),
            "Pulled": times["pulledAt"],
            "Released": times["releasedAt"],
            "By": state.get("releasedBy"),
            "Note": state.get("note"),
        }
    )
    if state["on"]:
        yield Text('Mend it, then: ordersaga brake release --note "what was mended"', style="cyan")
