"""`ordersaga orders watch`: an order's timeline, live, until the order has ended."""

from __future__ import annotations

import time
from typing import Any

from commandline.api_client import Api
from commandline.failures import Failure
from commandline.orders import order_path, timeline_row
from commandline.output import Printer
from domain.order_states import FINAL, OrderStatus

LOOK_EVERY = 0.5  # seconds
OUTAGE = 30.0  # seconds without an answer before the watch is given up


def watch_order(api: Api, out: Printer, order_id: str, timeout: float | None, every: float = LOOK_EVERY) -> None:
    """Prints each row as it comes; `--json` prints them all in one document at the end.

    Raises Failure when the order has not ended within `timeout` seconds, or the API stays away for long.
    """
    began = time.monotonic()
    seen: list[dict[str, Any]] = []
    while True:
        for row in _rows_after(api, order_id, seen[-1]["sequence"] if seen else 0):
            seen.append(row)
            out.say(timeline_row(row))
        if seen and OrderStatus(seen[-1]["to"]) in FINAL:
            break
        if timeout is not None and time.monotonic() - began >= timeout:
            status = seen[-1]["to"] if seen else "unknown"
            raise Failure(
                "still_running", f"the order is {status} after {timeout:g} s", orderId=order_id, orderStatus=status
            )
        time.sleep(every)
    out.show({"orderId": order_id, "status": seen[-1]["to"], "events": seen}, lambda: ())


def _rows_after(api: Api, order_id: str, sequence: int) -> list[dict[str, Any]]:
    """The new rows; an API that is away for a moment, e.g. while it is restarted, is waited for."""
    until = time.monotonic() + OUTAGE
    while True:
        try:
            rows: list[dict[str, Any]] = api.get(f"{order_path(order_id)}/events", {"after": sequence})["events"]
            return rows
        except Failure as failure:
            away = failure.code == "api_unreachable" or failure.members.get("status", 0) >= 500
            if not (away and sequence) or time.monotonic() > until:
                raise
        time.sleep(LOOK_EVERY)
