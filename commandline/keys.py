"""`ordersaga keys`: create, list, revoke."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, table, time_of


def create_key(api: Api, out: Printer, wanted: Mapping[str, Any]) -> None:
    made = api.post("/api/keys", wanted).document
    out.show(made, lambda: _made(made))


def list_keys(api: Api, out: Printer) -> None:
    found = api.get("/api/keys")
    out.show(found, lambda: _listed(found))


def revoke_key(api: Api, out: Printer, key_id: str) -> None:
    key = api.post(f"/api/keys/{quote(key_id, safe='')}/revoke", {}).document
    out.show(key, lambda: [Text(f"{key['keyId']} of {key['owner']} counts no longer.")])


def _made(key: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield Text(key["key"], no_wrap=True)
    yield Text(f"Of {key['owner']}, until {time_of(key['expiresAt'])}. It is not shown again.", style="yellow")


def _listed(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    if not found["keys"]:
        yield Text("No keys.")
        return
    rows = table("Key", "Owner", "Scopes", "Made", "By", "Until", whole=("Key",))
    for key in found["keys"]:
        ends = f"revoked {time_of(key['revokedAt'])}" if key.get("revokedAt") else time_of(key["expiresAt"])
        made, scopes = time_of(key["createdAt"]), " ".join(key["scopes"])
        rows.add_row(key["keyId"], Text(key["owner"]), scopes, made, Text(key["createdBy"]), ends)
    yield rows
