"""`ordersaga carts`: what customers and guests have in their carts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, facts, table

CARTS = "/api/carts"


def list_carts(api: Api, out: Printer, state: str, customer_id: str | None, limit: int, cursor: str | None) -> None:
    """A page of the carts in a state, those touched last first."""
    page = api.get(CARTS, {"state": state, "customerId": customer_id, "limit": limit, "cursor": cursor})
    out.show(page, lambda: _listed(page))


def show_cart(api: Api, out: Printer, cart_id: str) -> None:
    """One cart at today's prices."""
    cart = api.get(f"{CARTS}/{quote(cart_id, safe='')}")
    out.show(cart, lambda: _shown(cart))


def show_open_cart(api: Api, out: Printer, customer_id: str) -> None:
    """The open cart of a customer."""
    cart = api.get(f"/api/cart/{quote(customer_id, safe='')}")
    out.show(cart, lambda: _shown(cart))


def _listed(page: Mapping[str, Any]) -> Iterator[RenderableType]:
    if not page["carts"]:
        yield Text("No carts.")
        return
    shown = table(
        "Cart", "Customer", "Pieces", "Coupon", "Order", "Touched", right=("Pieces",), whole=("Cart", "Order")
    )
    for cart in page["carts"]:
        names = (cart.get("customerId") or "guest", str(cart["pieces"]), cart.get("coupon", ""))
        shown.add_row(cart["cartId"], *map(Text, names), cart.get("orderId", ""), cart["touchedAt"][:19])
    yield shown
    if page["nextCursor"]:
        yield Text(f"There are more: --cursor {page['nextCursor']}", style="dim")


def _shown(cart: Mapping[str, Any]) -> Iterator[RenderableType]:
    currency = cart["currency"] or ""
    about = {
        "Cart": cart.get("cartId", "none"),
        "Customer": cart.get("customerId", "guest"),
        "State": cart["state"],
        "Version": str(cart["version"]),
        "Total": f"{cart['total']} {currency}".strip(),
    }
    if refusal := cart.get("couponRefusal"):
        about["Coupon"] = f"{cart['coupon']}: {refusal['detail']}"
    elif cart.get("coupon"):
        about["Coupon"] = cart["coupon"]
    if cart.get("orderId"):
        about["Order"] = cart["orderId"]
    yield facts(about)
    if not cart["items"]:
        return
    shown = table(
        "Product", "Name", "Pieces", "Price", "Amount", "Discount", "Stock", right=("Pieces", "Price", "Amount")
    )
    for item in cart["items"]:
        change = item.get("priceChange")
        price = f"{item['price']} (was {change['was']})" if change else item["price"]
        shown.add_row(
            Text(item["productId"]),
            Text(item["name"]),
            str(item["quantity"]),
            price,
            item["amount"],
            item["discount"],
            item["availability"],
        )
    yield shown
