"""`ordersaga orders`: list, show, place, cancel."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.failures import Failure, Misused, naming
from commandline.options import named
from commandline.output import Printer, facts, state, table, time_of


def order_path(order_id: str) -> str:
    return f"/api/orders/{quote(order_id, safe='')}"


def list_orders(api: Api, out: Printer, filters: Mapping[str, Any]) -> None:
    page = api.get("/api/orders", filters)
    out.show(page, lambda: _listed(page))


def show_order(api: Api, out: Printer, order_id: str) -> None:
    order = api.get(order_path(order_id))
    out.show(order, lambda: _shown(order))


def place_order(api: Api, out: Printer, wanted: Mapping[str, Any], key: str | None) -> None:
    """Places an order. Without a key one is made up, so that the same order can be asked for again."""
    chosen = key or f"cli-{secrets.token_hex(12)}"
    body = {name: value for name, value in wanted.items() if value is not None}
    try:
        answer = api.post("/api/orders", body, {"Idempotency-Key": chosen})
    except Failure as failure:
        if failure.code == "api_unreachable" or failure.members.get("status", 0) >= 500:
            failure.mend += f"; it may have been placed: the same command with --idempotency-key {chosen} tells"
            failure.mend = failure.mend.removeprefix("; ")
        if any(error["field"] == "shippingAddress" for error in failure.errors):
            failure.mend = "give the address with --ship-to, once for each field"
        raise
    out.show(answer.document, lambda: _placed(answer.status, answer.document))


def cancel_order(api: Api, out: Printer, order_id: str, reason: str | None, by: str | None) -> None:
    body = named(by) | ({"reason": reason} if reason is not None else {})
    decision = api.post(f"{order_path(order_id)}/cancel", body).document
    out.show(decision, lambda: _decided(decision))


def ship_now(api: Api, out: Printer, order_id: str) -> None:
    """Ends the wait before shipping."""
    order = api.post(f"{order_path(order_id)}/ship", None).document
    out.show(order, lambda: [Text(f"Order {order_id} ({order['status']}) ships as soon as it is confirmed.")])


def read_items(given: Sequence[str]) -> list[dict[str, Any]]:
    """`["001=2", "002"]` as the lines of an order; a product alone is one piece. Raises Misused."""
    items = []
    for item in given:
        product, _, quantity = item.rpartition("=") if "=" in item else (item, "", "1")
        if not product or not (quantity.isascii() and quantity.isdigit()):
            raise Misused(f"--item: {item!r} is not PRODUCT=QUANTITY, like 001=2")
        items.append({"productId": product, "quantity": int(quantity)})
    return items


def read_time(parameter: str, given: str | None) -> str | None:
    """A date or a time as RFC 3339; without an offset it is UTC. Raises Misused."""
    if given is None:
        return None
    with naming(parameter):
        moment = datetime.fromisoformat(given)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _listed(page: Mapping[str, Any]) -> Iterator[RenderableType]:
    if not page["orders"]:
        yield Text("No orders.")
        return
    rows = table("Order", "Status", "Payment", "Customer", "Total", "Pieces", "Placed", right=("Total", "Pieces"),
                 whole=("Order",))  # fmt: skip
    for order in page["orders"]:
        status = state(order["status"])
        rows.add_row(
            order["orderId"],
            Text.assemble(status, (" needs attention", "bold red")) if order["needsAttention"] else status,
            order["paymentStatus"],
            Text(order["customerId"]),
            f"{order['totalAmount']} {order['currency']}",
            str(sum(item["quantity"] for item in order["items"])),
            time_of(order["createdAt"]),
        )
    yield rows
    if page["nextCursor"]:
        yield Text(f"There are more: --cursor {page['nextCursor']}", style="dim")


def _shown(order: Mapping[str, Any]) -> Iterator[RenderableType]:
    refusal, parcel = order.get("refusal") or {}, order.get("shipment") or {}
    yield facts(
        {
            "Order": order["orderId"],
            "Status": state(order["status"]),
            "Payment": order["paymentStatus"],
            "Refused": refusal.get("detail"),
            "Waits for": order.get("waitsFor"),
            "Attention": Text("a person is needed", style="bold red") if order["needsAttention"] else None,
            "Customer": order["customerId"],
            **_parts(order),
            "Total": f"{order['totalAmount']} {order['currency']}",
            "Refunded": f"{order['refundedAmount']} {order['currency']}" if order.get("refundedAmount") else None,
            "Parcel": " ".join(
                str(parcel[name]) for name in ("carrier", "trackingNumber", "status") if name in parcel
            ),
            "Ships from": time_of(order["shipNotBefore"]) if order.get("shipNotBefore") else None,
            "Client secret": order.get("clientSecret"),
            "Trace": order["links"]["temporal"],
        }
    )
    lines = table("Product", "Quantity", "Price", right=("Quantity", "Price"))
    for item in order["items"]:
        lines.add_row(Text(item["productId"]), str(item["quantity"]), item["price"])
    yield lines
    for row in order["timeline"]:
        yield timeline_row(row)


def _parts(order: Mapping[str, Any]) -> dict[str, str]:
    """What made the total, where it is more than the sum of the lines."""
    found: dict[str, str] = {}
    for discount in order.get("discounts", ()):
        code = f" ({discount['code']})" if discount.get("code") else ""
        found[f"Discount {len(found) + 1}"] = f"-{discount['amount']} {discount['name']}{code}"
    if order.get("shippingOption"):
        found["Shipping"] = f"{order['shippingFee']} {order['shippingOption']}"
    for tax in order.get("taxes", ()):
        found[f"Tax {tax['rate']} %"] = f"{tax['amount']} {'in the prices' if tax['inclusive'] else 'on top'}"
    return {"Subtotal": order["subtotal"], **found} if found else {}


def timeline_row(row: Mapping[str, Any]) -> Text:
    by = f" (by {row['by']})" if row.get("by") else ""
    status = state(f"{row['to']:<18}")
    status.stylize(state(row["to"]).style)
    return Text.assemble((f"{time_of(row['at'])}  ", "dim"), status, f"{row['what']}{by}")


def _placed(status: int, order: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield from _shown(order)
    if status == 202:
        yield Text(f"No answer yet: ordersaga orders watch {order['orderId']}", style="yellow")


def _decided(decision: Mapping[str, Any]) -> Iterator[RenderableType]:
    if decision["accepted"] is None:
        yield Text(f"Not decided yet: ordersaga orders watch {decision['orderId']}", style="yellow")
        return
    yield Text.assemble("Cancel accepted", (f"  [{decision['code']}]  ", "dim"), "the order is ",
                        state(decision["status"]))  # fmt: skip
