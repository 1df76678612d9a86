"""`ordersaga orders watch`: an order's timeline, live, until the order has ended."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

import httpx

from commandline.api_client import PATIENCE, read_answer, unreachable
from commandline.failures import Failure
from commandline.orders import order_path, timeline_row
from commandline.output import Printer
from commandline.places import Place
from domain.order_states import FINAL, OrderStatus
from domain.plain_text import all_made_readable

LOOK_EVERY = 0.5  # seconds: between two looks where there is no stream, and two tries to reach the API
OUTAGE = 30.0  # seconds without an answer before the watch is given up
SILENCE = 40.0  # seconds without a byte after which a stream counts as lost; the API writes every 15
STREAM, DOCUMENT = "text/event-stream", "application/json"


def watch_order(place: Place, out: Printer, order_id: str, timeout: float | None) -> None:
    """Prints each row as it comes; `--json` prints them all in one document at the end.

    Raises Failure when the order has not ended within `timeout` seconds, or the API stays away for long.
    """
    watch = Watch(place, out, order_id)
    asyncio.run(watch.run(timeout))
    out.show({"orderId": order_id, "status": watch.status, "events": watch.seen}, lambda: ())


class Watch:
    """One order's rows by the API's stream; an API without one, or without room in it, is asked again and again."""

    def __init__(self, place: Place, out: Printer, order_id: str) -> None:
        self._place, self._out, self._order_id = place, out, order_id
        self.seen: list[dict[str, Any]] = []
        self._first = asyncio.Event()
        self._accept = f"{STREAM}, {DOCUMENT};q=0.5"
        self._heard_at = time.monotonic()

    @property
    def status(self) -> str:
        """The order's state by the last row."""
        return str(self.seen[-1]["to"]) if self.seen else "unknown"

    async def run(self, timeout: float | None) -> None:
        """Until the order has ended; the rows so far are shown also where there is no time for more."""
        until = None if timeout is None else time.monotonic() + timeout
        following = asyncio.create_task(self._follow())
        first = asyncio.create_task(self._first.wait())
        await asyncio.wait({following, first}, return_when=asyncio.FIRST_COMPLETED)
        left = None if until is None else max(0.0, until - time.monotonic())
        await asyncio.wait({following}, timeout=left)
        first.cancel()
        if following.done():
            return following.result()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        detail = f"the order is {self.status} after {timeout:g} s"
        raise Failure("still_running", detail, orderId=self._order_id, orderStatus=self.status)

    async def _follow(self) -> None:
        """Goes on behind the last row when the stream is lost, e.g. because the API is restarted."""
        timeout = httpx.Timeout(PATIENCE, read=SILENCE)
        options: dict[str, Any] = {"base_url": self._place.url, "trust_env": not self._place.is_local}
        async with httpx.AsyncClient(timeout=timeout, **options) as http:
            while not (self.seen and OrderStatus(self.seen[-1]["to"]) in FINAL):
                try:
                    await self._read(http)
                except httpx.HTTPError as error:
                    self._bear(unreachable(self._place, error))
                except Failure as failure:
                    self._bear(failure)
                await asyncio.sleep(LOOK_EVERY)

    async def _read(self, http: httpx.AsyncClient) -> None:
        sequence = self.seen[-1]["sequence"] if self.seen else 0
        headers = {"Accept": self._accept} | ({"Last-Event-ID": str(sequence)} if sequence else {})
        path = f"{order_path(self._order_id)}/events"
        async with http.stream("GET", path, params={"after": sequence}, headers=headers) as response:
            if response.is_success and response.headers.get("content-type", "").startswith(STREAM):
                async for line in response.aiter_lines():
                    self._heard_at = time.monotonic()
                    if line.startswith("data:"):
                        self._take([all_made_readable(json.loads(line.removeprefix("data:"), parse_float=Decimal))])
            else:
                await response.aread()
                self._take(read_answer(self._place, response).document["events"])
                self._heard_at = time.monotonic()

    def _take(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.seen.append(row)
            self._out.say(timeline_row(row))
        self._first.set()

    def _bear(self, failure: Failure) -> None:
        """An API that is away for a moment is waited for. Raises every other failure."""
        if failure.code == "too_many_listeners":
            self._accept = DOCUMENT
            return
        away = failure.code == "api_unreachable" or failure.members.get("status", 0) >= 500
        if not (away and self.seen) or time.monotonic() - self._heard_at > OUTAGE:
            raise failure
