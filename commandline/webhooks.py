"""`ordersaga webhooks`: endpoints of merchants, their secrets, and what was delivered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.failures import Misused
from commandline.output import Printer, facts, table, time_of

LOOK_EVERY = 0.3  # seconds
COLORS = {"active": "green", "delivered": "green", "waiting": "cyan", "disabled": "red", "given_up": "red"}


def _path(endpoint_id: str, *more: str) -> str:
    return "/".join(["/api/webhook-endpoints", *(quote(part, safe="") for part in (endpoint_id, *more))])


def list_endpoints(api: Api, out: Printer) -> None:
    page = api.get("/api/webhook-endpoints")
    out.show(page, lambda: _listed(page["endpoints"]))


def show_endpoint(api: Api, out: Printer, endpoint_id: str) -> None:
    endpoint = api.get(_path(endpoint_id))
    out.show(endpoint, lambda: [_endpoint(endpoint)])


def add(api: Api, out: Printer, wanted: Mapping[str, Any]) -> None:
    endpoint = api.post("/api/webhook-endpoints", wanted).document
    out.show(endpoint, lambda: [_endpoint(endpoint), *_secret(endpoint)])


def change(api: Api, out: Printer, endpoint_id: str, wanted: Mapping[str, Any]) -> None:
    given = {name: value for name, value in wanted.items() if value is not None}
    if not given:
        raise Misused("say what to change: --url, --event or --description")
    endpoint = api.patch(_path(endpoint_id), given).document
    out.show(endpoint, lambda: [_endpoint(endpoint)])


def delete(api: Api, out: Printer, endpoint_id: str) -> None:
    api.delete(_path(endpoint_id))
    out.show({"deleted": endpoint_id}, lambda: [Text(f"{endpoint_id} is deleted.", "green")])


def rotate(api: Api, out: Printer, endpoint_id: str, overlap: int | None) -> None:
    body = None if overlap is None else {"overlapSeconds": overlap}
    rotated = api.post(_path(endpoint_id, "rotate"), body).document
    out.show(rotated, lambda: _rotated(rotated))


def send_test(api: Api, out: Printer, endpoint_id: str, patience: float) -> int:
    """The exit code: 1 where the test was not delivered in time."""
    sent = api.post(_path(endpoint_id, "test"), None).document["deliveryId"]
    end = time.monotonic() + patience
    while (found := api.get(_path(endpoint_id, "deliveries", sent)))["state"] == "waiting":
        if time.monotonic() > end:
            break
        time.sleep(LOOK_EVERY)
    out.show(found, lambda: _tested(found))
    return 0 if found["state"] == "delivered" else 1


def list_deliveries(api: Api, out: Printer, endpoint_id: str, filters: Mapping[str, Any]) -> None:
    page = api.get(_path(endpoint_id, "deliveries"), filters)
    out.show(page, lambda: _deliveries(page))


def show_delivery(api: Api, out: Printer, endpoint_id: str, delivery_id: str) -> None:
    found = api.get(_path(endpoint_id, "deliveries", delivery_id))
    out.show(found, lambda: _delivery(found))


def redeliver(api: Api, out: Printer, endpoint_id: str, delivery_id: str | None, wanted: Mapping[str, Any]) -> None:
    if (delivery_id is None) == (wanted["from"] is None):
        raise Misused("name one delivery, or a time with --from")
    if delivery_id is not None:
        answer = api.post(_path(endpoint_id, "deliveries", delivery_id, "redeliver"), None).document
        out.show(
            answer, lambda: [Text(f"Sent again: ordersaga webhooks delivery {endpoint_id} {delivery_id}", "green")]
        )
        return
    given = {name: value for name, value in wanted.items() if value is not None}
    answer = api.post(_path(endpoint_id, "redeliveries"), given).document
    out.show(answer, lambda: [Text(f"{answer['deliveries']} deliveries are sent again.", "green")])


def _state(word: str) -> Text:
    return Text(word, COLORS.get(word, ""))


def _listed(endpoints: list[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not endpoints:
        yield Text("No endpoints: ordersaga webhooks add URL")
        return
    rows = table("Endpoint", "State", "Failures", "Events", "URL", right=("Failures",), whole=("Endpoint",))
    for one in endpoints:
        words = (str(one["failures"]), ", ".join(one["events"]), Text(one["url"]))
        rows.add_row(one["endpointId"], _state(one["state"]), *words)
    yield rows


def _endpoint(one: Mapping[str, Any]) -> RenderableType:
    return facts(
        {
            "Endpoint": one["endpointId"],
            "URL": one["url"],
            "Events": ", ".join(one["events"]),
            "Description": one["description"],
            "State": _state(one["state"]),
            "Because": one.get("disabledBecause"),
            "Failures in a row": one["failures"],
            "Rests until": time_of(one["restingUntil"]) if one.get("restingUntil") else None,
            "Since": time_of(one["createdAt"]),
        }
    )


def _secret(shown: Mapping[str, Any]) -> list[RenderableType]:
    return [Text.assemble("Secret, shown only now: ", (shown["secret"], "bold"))]


def _rotated(rotated: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield from _secret(rotated)
    until = rotated.get("oldUntil")
    yield Text(
        f"The old one signs, too, until {time_of(until)}." if until else "The old one signs no more.", "yellow"
    )


def _tested(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    if found["state"] == "waiting":
        yield Text("Not tried yet: does a relay run? `ordersaga doctor` tells.", "yellow")
    yield from _delivery(found)


def _deliveries(page: Mapping[str, Any]) -> Iterator[RenderableType]:
    if not page["deliveries"]:
        yield Text("No deliveries.")
        return
    rows = table(
        "Delivery", "Type", "Subject", "State", "Tries", "Last", "Noted", right=("Tries",), whole=("Subject",)
    )
    for one in page["deliveries"]:
        about = (one["deliveryId"], one["type"], one["subject"], _state(one["state"]), str(one["attempts"]))
        rows.add_row(*about, _outcome(one.get("last") or {}), time_of(one["createdAt"]))
    yield rows
    if page["nextCursor"]:
        yield Text(f"There are more: --cursor {page['nextCursor']}", style="dim")


def _outcome(tried: Mapping[str, Any]) -> Text:
    return Text(str(tried.get("status") or tried.get("error") or ""))


def _delivery(one: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield facts(
        {
            "Delivery": one["deliveryId"],
            "Event": one["eventId"],
            "Type": one["type"],
            "Subject": f"{one['subject']} ({one['sequence']})",
            "State": _state(one["state"]),
            "Next try": time_of(one["dueAt"]) if one.get("dueAt") else None,
        }
    )
    rows = table("Tried", "Seconds", "Outcome", "Answer", right=("Seconds",))
    for tried in one["tries"]:
        rows.add_row(time_of(tried["at"]), f"{tried['seconds']:.3f}", _outcome(tried), Text(tried["answer"]))
    yield rows
