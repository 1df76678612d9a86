"""`ordersaga promotions`: what takes something off an order, the codes for it, and who has set what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, table, time_of

PROMOTIONS, COUPONS = "/api/promotions", "/api/coupons"


def list_promotions(api: Api, out: Printer, limit: int, cursor: str | None) -> None:
    page = api.get(PROMOTIONS, {"limit": limit, "cursor": cursor})
    out.show(page, lambda: _promotions(page["promotions"], page["nextCursor"]))


def list_coupons(api: Api, out: Printer, limit: int, cursor: str | None) -> None:
    page = api.get(COUPONS, {"limit": limit, "cursor": cursor})
    out.show(page, lambda: _coupons(page["coupons"], page["nextCursor"]))


def add_promotion(api: Api, out: Printer, wanted: Mapping[str, Any]) -> None:
    """What is None was not said."""
    promotion = api.post(PROMOTIONS, _said(wanted)).document
    out.show(promotion, lambda: _promotions([promotion]))


def change_promotion(api: Api, out: Printer, promotion_id: str, changes: Mapping[str, Any]) -> None:
    promotion = api.patch(f"{PROMOTIONS}/{quote(promotion_id, safe='')}", _said(changes)).document
    out.show(promotion, lambda: _promotions([promotion]))


def add_coupon(api: Api, out: Printer, wanted: Mapping[str, Any]) -> None:
    coupon = api.post(COUPONS, _said(wanted)).document
    out.show(coupon, lambda: _coupons([coupon]))


def change_coupon(api: Api, out: Printer, code: str, changes: Mapping[str, Any]) -> None:
    coupon = api.patch(f"{COUPONS}/{quote(code, safe='')}", _said(changes)).document
    out.show(coupon, lambda: _coupons([coupon]))


def show_history(api: Api, out: Printer, promotion_id: str) -> None:
    found = api.get(f"{PROMOTIONS}/{quote(promotion_id, safe='')}/history")
    out.show(found, lambda: _history(found["changes"]))


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _promotions(rows: Sequence[Mapping[str, Any]], cursor: str | None = None) -> Iterator[RenderableType]:
    if not rows:
        yield Text("No promotions.")
        return
    shown = table("Promotion", "Name", "Takes off", "Of", "From", "To", "For", "State", whole=("Promotion",))
    for row in rows:
        of = ", ".join(row.get("productIds", [])) or "the order"
        days = [time_of(row[name]) if name in row else "" for name in ("starts", "ends")]
        whom = "every order" if row["automatic"] else "coupons"
        shown.add_row(
            row["promotionId"], row["name"], _takes_off(row), of, *days, whom, "on" if row["active"] else "off"
        )
    yield shown
    yield from _more(cursor)


def _takes_off(row: Mapping[str, Any]) -> str:
    if row["kind"] == "buy_x_get_y":
        return f"{row['get']} of {row['buy'] + row['get']} pieces"
    if row["kind"] == "free_shipping":
        return "shipping"
    return f"{row['value']} %" if row["kind"] == "percent" else f"{row['value']} {row['currency']}"


def _coupons(rows: Sequence[Mapping[str, Any]], cursor: str | None = None) -> Iterator[RenderableType]:
    if not rows:
        yield Text("No coupons.")
        return
    shown = table("Code", "Promotion", "Used", "Limit", "Per customer", "State", right=("Used", "Limit"))
    for row in rows:
        limits = [str(row[name]) if row[name] is not None else "none" for name in ("usageLimit", "perCustomer")]
        shown.add_row(row["code"], row["promotionId"], str(row["used"]), *limits, "on" if row["active"] else "off")
    yield shown
    yield from _more(cursor)


def _history(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    shown = table("At", "By", "Coupon", "Set")
    for row in rows:
        said = ", ".join(f"{name} = {value}" for name, value in row["change"].items())
        shown.add_row(time_of(row["at"]), row["by"], row.get("code", ""), said)
    yield shown


def _more(cursor: str | None) -> Iterator[RenderableType]:
    if cursor:
        yield Text(f"More: --cursor {cursor}", style="dim")
