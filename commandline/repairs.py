"""`ordersaga repairs`: list, show, resolve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer, facts, state, table, time_of


def list_tickets(api: Api, out: Printer, filters: Mapping[str, Any]) -> None:
    page = api.get("/api/repairs", filters)
    out.show(page, lambda: _listed(page))


def show_ticket(api: Api, out: Printer, ticket_id: str) -> None:
    ticket = api.get(_path(ticket_id))
    out.show(ticket, lambda: _shown(ticket))


def resolve(api: Api, out: Printer, ticket_id: str, wanted: Mapping[str, str]) -> None:
    answer = api.post(f"{_path(ticket_id)}/resolve", wanted).document
    out.show(answer, lambda: _resolved(answer))


def _path(ticket_id: str) -> str:
    return f"/api/repairs/{quote(ticket_id, safe='')}"


def _listed(page: Mapping[str, Any]) -> Iterator[RenderableType]:
    if not page["tickets"]:
        yield Text("No tickets.")
        return
    rows = table("Ticket", "Kind", "Step", "Order", "Opened", "Status", whole=("Order",))
    for ticket in page["tickets"]:
        is_open = ticket["status"] == "open"
        waits = f"open, {ticket['askedBy']} wants a write-off" if ticket.get("askedBy") else "open"
        status = Text(waits, "bold red") if is_open else Text(f"resolved by {ticket.get('resolvedBy', '')}", "green")
        opened = time_of(ticket["openedAt"])
        rows.add_row(ticket["ticketId"], ticket["kind"], ticket["step"], ticket.get("orderId", ""), opened, status)
    yield rows
    if page["nextCursor"]:
        yield Text(f"There are more: --cursor {page['nextCursor']}", style="dim")


def _shown(ticket: Mapping[str, Any]) -> Iterator[RenderableType]:
    order, waiting = ticket.get("order") or {}, ticket.get("waiting") or {"count": None, "examples": []}
    yield facts(
        {
            "Ticket": ticket["ticketId"],
            "What": ticket["title"],
            "Kind": ticket["kind"],
            "Step": ticket["step"],
            "Status": ticket["status"],
            "Waits for a second person": f"{ticket['askedBy']} wants a write-off" if ticket.get("askedBy") else None,
            "Order": ticket.get("orderId"),
            "Cause": ticket.get("subject"),
            "Orders waiting": waiting["count"],
            "Some of them": " ".join(waiting["examples"]),
            "State": state(order["status"]) if order else None,
            "Payment": order.get("paymentStatus"),
            "PaymentIntent": order.get("paymentIntentId"),
            "Shipment": " ".join(order[name] for name in ("shipmentId", "trackingNumber") if order.get(name)),
            "Last error": ticket["lastError"],
            "Trace": ticket["links"].get("temporal"),
        }
    )
    for possible in ticket["possible"]:
        yield Text.assemble((f"{possible['decision']:<12}", "bold"), possible["means"])
    trail = table("At", "By", "Action", "Note", "Evidence")
    for row in ticket["actions"]:
        words = [Text(row.get(name, "")) for name in ("by", "action", "note", "evidence")]
        trail.add_row(time_of(row["at"]), *words)
    yield trail


def _resolved(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    if answer["accepted"] is None:
        yield Text(f"Not carried out yet: ordersaga repairs show {answer['ticketId']}", style="yellow")
        return
    yield Text.assemble("Accepted", (f"  [{answer['code']}]  ", "dim"), answer["detail"])
