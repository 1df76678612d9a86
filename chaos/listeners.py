"""Pages of customers that follow their orders live, through everything: each resumes behind the last row it has.

A row counts as heard when its event has come to its end, which is an empty line
(https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import asyncio
import json
import zlib
from collections.abc import Collection
from typing import Any

import httpx

from chaos.journal import Journal

OF = 3  # of so many orders one is followed
SILENCE = 20.0  # seconds without a byte after which a stream counts as lost; the API writes every 15
PAUSE = 0.5  # seconds before a page connects again
NOTHING_MORE = 204
CONNECTIONS = 1000


class Listeners:
    """The journal tells what each one heard."""

    def __init__(self, api: str, journal: Journal) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=0)
        timeout = httpx.Timeout(SILENCE, pool=None)
        self._api = httpx.AsyncClient(base_url=api, limits=limits, timeout=timeout, trust_env=False)
        self._journal = journal
        self._pages: dict[str, asyncio.Task[None]] = {}
        self.streams = 0  # that were opened

    async def aclose(self) -> None:
        """Ends those that still follow."""
        for page in self._pages.values():
            page.cancel()
        await asyncio.gather(*self._pages.values(), return_exceptions=True)
        await self._api.aclose()

    @property
    def count(self) -> int:
        """How many pages were opened."""
        return len(self._pages)

    def still_following(self, order_ids: Collection[str]) -> int:
        """How many of the orders' pages have not been told that nothing comes any more."""
        return sum(not page.done() for order_id, page in self._pages.items() if order_id in order_ids)

    def follow(self, key: str, order_id: str) -> None:
        """Opens the order's page, if its key is one of those that have one, and it is not open yet."""
        if order_id not in self._pages and zlib.crc32(key.encode()) % OF == 0:
            self._journal.write("listening", orderId=order_id)
            self._pages[order_id] = asyncio.create_task(self._page(order_id))

    async def _page(self, order_id: str) -> None:
        """Until the API says that nothing comes any more."""
        last: str | None = None
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            try:
                async with self._api.stream("GET", f"/api/orders/{order_id}/events", headers=headers) as answer:
                    if answer.status_code == NOTHING_MORE:
                        self._journal.write("left", orderId=order_id)
                        return
                    if answer.status_code == httpx.codes.OK:
                        self.streams += 1
                        event: dict[str, str] = {}
                        async for line in answer.aiter_lines():
                            if line:
                                name, _, value = line.partition(":")
                                event[name] = value.strip()
                                continue
                            if "id" in event:
                                last = event["id"]
                                self._hear(order_id, json.loads(event["data"]))
                            event = {}
            except httpx.HTTPError:  # the API, or what is between, has failed
                pass
            await asyncio.sleep(PAUSE)

    def _hear(self, order_id: str, row: dict[str, Any]) -> None:
        self._journal.write("heard", orderId=order_id, sequence=row["sequence"], to=row["to"])
