"""`ordersaga customers`: which messages a customer wants, in which language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, table

OF_THE_SHOP = "shop"


def notifications(
    api: Api, out: Printer, customer_id: str, on: Sequence[str], off: Sequence[str], locale: str | None
) -> None:
    """Shows them, after the change where one is wanted; what is not named stays."""
    path = f"/api/customers/{quote(customer_id, safe='')}/notifications"
    found = api.get(path)
    if on or off or locale is not None:
        kinds = found["kinds"] | dict.fromkeys(on, True) | dict.fromkeys(off, False)
        spoken = found["locale"] if locale is None else None if locale == OF_THE_SHOP else locale
        found = api.put(path, {"locale": spoken, "kinds": kinds})
    out.show(found, lambda: _shown(found))


def _shown(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    rows = table("Message", "Sent")
    for kind, wanted in found["kinds"].items():
        rows.add_row(kind, "yes" if wanted else "no")
    yield rows
    yield Text(f"Language: {found['locale'] or 'as the shop'}")
