"""`ordersaga inventory`: show, set, change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, table


def show_stock(api: Api, out: Printer, product_id: str) -> None:
    stock = api.get(_path(product_id))
    out.show(stock, lambda: _shown([stock]))


def list_stock(api: Api, out: Printer, limit: int, cursor: str | None) -> None:
    """A page of the catalogue with what is reserved of each product."""
    page = api.get("/api/products", {"limit": limit, "cursor": cursor})
    rows = [product | api.get(_path(product["productId"])) for product in page["products"]]
    document = {"products": rows, "nextCursor": page["nextCursor"]}
    out.show(document, lambda: _shown(rows, page["nextCursor"]))


def change_stock(api: Api, out: Printer, product_id: str, change: Mapping[str, int]) -> None:
    """`change` is {"onHand": level} or {"quantityChange": difference}."""
    stock = api.post(f"{_path(product_id)}/update", change).document
    out.show(stock, lambda: _shown([stock]))


def _path(product_id: str) -> str:
    return f"/api/inventory/{quote(product_id, safe='')}"


def _shown(rows: Sequence[Mapping[str, Any]], cursor: str | None = None) -> Iterator[RenderableType]:
    if not rows:
        yield Text("No products.")
        return
    named = "name" in rows[0]
    numbers = ("On hand", "Reserved", "Available")
    shown = table("Product", *(("Name", "Price") if named else ()), *numbers, right=(*numbers, "Price"))
    for row in rows:
        name: list[Text | str] = [Text(row["name"]), f"{row['price']} {row['currency']}"] if named else []
        shown.add_row(Text(row["productId"]), *name, *(str(row[key]) for key in ("onHand", "reserved", "available")))
    yield shown
    if cursor:
        yield Text(f"There are more: --cursor {cursor}", style="dim")
