"""The whole service as a contender: orders over HTTP, followed until they are ready to ship."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from adapters.temporal.client import workflow_id
from benchmarks.errors import BenchmarkFailed
from benchmarks.load import Shift
from devstack.stack.identities import Bearer

PARCELS_STAY = (1e9, 1e9)  # the carrier's clock, in seconds: no order of a round lives on in the next

PRODUCTS = 50
CUSTOMERS = 10
PATIENCE = 120.0  # seconds until every order of a shift is ready to ship
LOOK_EVERY = 0.1  # seconds
QUIET = 1.2  # seconds without a new webhook: longer than the relay lets one settle

_REACHED = "SELECT order_id, at FROM timeline WHERE order_id = ANY ($1) AND to_status = $2"
# By two small ranges of indexes: a count of all events would be what a large shop's database is busy with.
_WEBHOOKS = """
    SELECT (SELECT max(processed_at) FROM webhook_inbox),
           (SELECT count(*) FROM webhook_inbox WHERE processed_at IS NULL)
"""


class Service:
    def __init__(self, http: httpx.AsyncClient, database: asyncpg.Pool) -> None:
        self._http = http
        self._database = database
        self._placed = 0
        self._asked: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._late = self._refused = 0

    async def prepare(self) -> None:
        """Stocks the shop; what is there stays."""
        for number in range(PRODUCTS):
            product = {"productId": f"bench-{number}", "name": "Lamp", "price": "19.99", "onHand": 1_000_000}
            await self._add("/api/products", product)
        for number in range(CUSTOMERS):
            customer = {"customerId": f"bench-{number}", "name": "Bench", "email": "bench@example.com"}
            await self._add("/api/customers", customer)

    async def _add(self, path: str, entry: dict[str, Any]) -> None:
        answer = await self._http.post(path, json=entry)
        if answer.status_code not in (200, 201):
            raise BenchmarkFailed(f"POST {path}: {answer.status_code} {answer.text}")

    async def place(self, order_id: str) -> str:
        """The order's id in the service; `order_id` goes along as the Idempotency-Key, as a shop would do it.

        A 202 is an answer too: the API's budget was over, the order goes on. They are counted and told. A 503 says
        that the API has as many checkouts as it can answer: sent again when it says, and the wait counts; how long
        the try took that was not refused is kept beside it.
        """
        self._placed += 1
        body = self.body(self._placed)
        asked = tried = time.time()
        while (answer := await self._post(body, order_id)).status_code == 503:
            self._refused += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            tried = time.time()
        if answer.status_code not in (201, 202):
            raise BenchmarkFailed(f"POST /api/orders: {answer.status_code} {answer.text}")
        self._late += answer.status_code == 202
        key = str(answer.json()["orderId"])
        self._asked[key], self._taken[key] = asked, time.time() - tried
        return key

    def body(self, number: int) -> dict[str, Any]:
        """The checkout of the order of this number."""
        return {
            "customerId": f"bench-{number % CUSTOMERS}",
            "items": [{"productId": f"bench-{number % PRODUCTS}", "quantity": 1}],
            "paymentMethod": "pm_card_visa",
        }

    async def _post(self, body: dict[str, Any], key: str) -> httpx.Response:
        return await self._http.post("/api/orders", json=body, headers={"Idempotency-Key": key})

    async def settle(self, shift: Shift) -> list[Shift]:
        """Until every order is READY_TO_SHIP and the webhooks that this caused are followed up."""
        ready = await self.all_reached(shift.keys, "READY_TO_SHIP")
        await self.webhooks_followed_up()
        latencies = [ready[key].timestamp() - self._asked.pop(key) for key in shift.keys]
        seconds = max(at.timestamp() for at in ready.values()) - shift.began
        shipped = Shift(shift.began, seconds, latencies, shift.keys, self._late, self._refused)
        self._late = self._refused = 0
        return [shipped, replace(shift, latencies=[self._taken.pop(key) for key in shift.keys])]

    async def all_reached(self, keys: list[str], status: str) -> dict[str, datetime]:
        """When each order reached the status; comes back when all have. Raises BenchmarkFailed after two minutes."""
        deadline = time.monotonic() + PATIENCE
        while True:
            ready: dict[str, datetime] = {
                row["order_id"]: row["at"] for row in await self._database.fetch(_REACHED, keys, status)
            }
            if len(ready) == len(keys):
                return ready
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{len(keys) - len(ready)} orders are not {status} after {PATIENCE:.0f} s")
            await asyncio.sleep(LOOK_EVERY)

    async def webhooks_followed_up(self) -> None:
        """Comes back when the relay has done what there is, and nothing new comes. Raises BenchmarkFailed."""
        deadline, quiet_since = time.monotonic() + PATIENCE, time.monotonic()
        known: tuple[Any, Any] | None = None
        while time.monotonic() < deadline:
            last, waiting = await self._database.fetchrow(_WEBHOOKS)
            if (last, waiting) != known:
                known, quiet_since = (last, waiting), time.monotonic()
            if not waiting and time.monotonic() - quiet_since > QUIET:
                return
            await asyncio.sleep(LOOK_EVERY)
        raise BenchmarkFailed("the relay does not follow up the webhooks")

    def workflow_id(self, key: str) -> str:
        return workflow_id(key)


@asynccontextmanager
async def open_service(api: str, database_url: str, at_once: int, folder: Path) -> AsyncIterator[Service]:
    """A client of the API with a connection for each order at once; `folder` is the stack's, with its key."""
    # Given up before uvicorn does it, after 5 s: a request must not meet a connection that is just being closed.
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=2)
    async with (
        httpx.AsyncClient(
            base_url=api, limits=limits, timeout=PATIENCE, trust_env=False, auth=Bearer(folder)
        ) as http,
        asyncpg.create_pool(database_url, min_size=1, max_size=2) as database,
    ):
        yield Service(http, database)
