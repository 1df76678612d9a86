"""`ordersaga audit`: list, verify, export. The chain is verified here, by the entries themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.failures import Failure
from commandline.output import Printer, table, time_of
from services.audit.chain import Seal, broken_seal

PAGE = 1000


def list_entries(api: Api, out: Printer, by: str | None, about: str | None, limit: int) -> None:
    if by is None and about is None:
        found = api.get("/api/audit", {"limit": limit})["entries"]
    else:
        found = [*_entries(api, by=by, about=about)][-limit:][::-1]
    out.show({"entries": found}, lambda: _listed(found))


def verify(api: Api, out: Printer) -> None:
    """Raises Failure where an entry or a seal was changed, added or taken out."""
    seals = [*_seals(api)]
    wrong = broken_seal(seals, _entries(api))
    if wrong is not None:
        raise Failure("audit_broken", f"the audit does not fit its seals: {wrong}", mend="compare it with an export")
    last = seals[-1] if seals else None
    document: dict[str, Any] = {"verified": True, "seals": len(seals), "entries": sum(seal.entries for seal in seals)}
    document |= {"lastSeal": last.document if last else None}
    words = f"{document['entries']} entries in {len(seals)} seals are as they were written."
    out.show(document, lambda: [Text(words, "green"), Text(f"Last digest: {last.digest.hex() if last else '-'}")])


def export(api: Api) -> None:
    """Writes entries and seals to standard output, a JSON document a line: what verifies them elsewhere."""
    for entry in _entries(api):
        sys.stdout.write(json.dumps({"entry": entry}) + "\n")
    for seal in _seals(api):
        sys.stdout.write(json.dumps(seal.document) + "\n")


def _entries(api: Api, **only: str | None) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        found = api.get("/api/audit", {"after": after, "limit": PAGE, **only})["entries"]
        yield from found
        if len(found) < PAGE:
            return
        after = found[-1]["id"]


def _seals(api: Api) -> Iterator[Seal]:
    after = 0
    while True:
        found = api.get("/api/audit/seals", {"after": after, "limit": PAGE})["seals"]
        for one in found:
            yield Seal(one["seal"], one["lastId"], one["entries"], bytes.fromhex(one["digest"]))
        if len(found) < PAGE:
            return
        after = found[-1]["seal"]


def _listed(found: list[dict[str, Any]]) -> Iterator[RenderableType]:
    if not found:
        yield Text("Nothing.")
        return
    rows = table("Id", "At", "By", "What", "Answer", "Times", right=("Id", "Times"))
    for one in found:
        rows.add_row(*_row(one))
    yield rows


def _row(one: Mapping[str, Any]) -> list[Any]:
    what = Text(f"{one['method']} {one['about'] or one['route']}")
    return [
        str(one["id"]),
        time_of(one["at"]),
        Text(one["by"] or "nobody"),
        what,
        str(one["status"]),
        str(one["times"]),
    ]
